/**
 * What the command lines of the service and of its client have in common: short errors, and Ctrl+C as an ordinary end.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/** The program can't go on; `reason` is all that its user needs to know. */
export class Stopped extends Schema.TaggedError<Stopped>()("Stopped", { reason: Schema.String }) {
  override get message(): string {
    return this.reason
  }
}

/** Mistakes are told in a line each, and where to find help, instead of by the whole help. */
export const layerUsage: Layer.Layer<never> = Layer.merge(
  // `-v` is for verbose.
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Completions] }),
  CliOutput.layerPresenter({
    present: (event) => {
      if (event._tag === "InvalidInvocation") {
        const help = `run '${event.commandPath.join(" ")} --help' for detailed usage.`
        return Console.error([...event.errors.map((error) => error.message), help].join("\n"))
      }
      return CliOutput.defaultPresenter.present(event)
    }
  })
)

/** Whoever reads the output wants no more, such as `head`. */
const outputClosed = Effect.callback<void>((resume) => {
  process.stdout.on("error", () => resume(Effect.void))
})

/** Runs a program to its end, or until Ctrl+C. */
export const runMain = <E>(program: Effect.Effect<void, E>): void =>
  Effect.raceFirst(program, outputClosed).pipe(
    Effect.tapCause((cause) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.void
      const error = Cause.squash(cause)
      if (CliError.isCliError(error)) return Effect.void
      return Console.error(error instanceof Stopped ? error.reason : Cause.pretty(cause))
    }),
    NodeRuntime.runMain({
      disableErrorReporting: true,
      teardown: (exit, onExit) => Exit.hasInterrupts(exit) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
    })
  )
