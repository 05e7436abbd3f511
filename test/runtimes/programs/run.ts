/**
 * Runs the hubs until they are told to stop; then the process ends by itself, unless `exit` ends it.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type Devices, hubs, type Narrow } from "./hub.ts"

/** `serve` answers the port that it listens on. */
export const run = (
  serve: (stop: () => void) => Effect.Effect<number, never, Devices | Narrow | Scope.Scope>,
  exit = () => {}
): void => {
  const stop = () => void Effect.runFork(Fiber.interrupt(fiber))
  const served = Layer.effectDiscard(Effect.map(serve(stop), (port) => console.log(`listening on ${port}`)))
  const fiber = Effect.runFork(Layer.launch(Layer.provide(served, hubs)))
  fiber.addObserver(exit)
}
