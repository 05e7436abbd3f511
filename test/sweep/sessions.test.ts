import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as TestClock from "effect/testing/TestClock"
import { vi } from "vitest"
import { registerFile, sweep } from "./budgets.ts"

/** What is under way may take many turns of the event loop until it waits for time. */
const settle = Effect.callback<void>((resume) => {
  let turns = 200
  const next = () => {
    if (turns-- > 0) setImmediate(next)
    else resume(Effect.void)
  }
  next()
})

// Its own way to let others go first counts on few turns.
vi.mock("effect/testing/TestClock", async (original) => {
  const module = await original<typeof TestClock>()
  return {
    ...module,
    adjust: (duration: Duration.Input) => settle.pipe(Effect.andThen(module.adjust(duration)), Effect.andThen(settle))
  }
})

sweep((budget) => registerFile(new URL("../session/resume.test.ts", import.meta.url), budget))
