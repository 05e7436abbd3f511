/**
 * Pings of a call's WebSocket (RFC 6455 section 5.5.2).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { controlsOf } from "../link/controls.ts"
import type { Link } from "../link/link.ts"
import { Gate } from "../scheduling/gate.ts"
import { untilRead } from "../scheduling/turn.ts"

/** @internal */
export interface Pings {
  readonly interval: Duration.Duration
  /** How long a pong may take. */
  readonly timeout: Duration.Duration
}

const data = new TextEncoder().encode("ping")

/** @internal */
export const pingsOf = (options: {
  readonly pingInterval?: Duration.Input | undefined
  readonly pongTimeout?: Duration.Input | undefined
}): Pings | undefined =>
  options.pingInterval === undefined ? undefined : {
    interval: positive("pingInterval", options.pingInterval),
    timeout: positive("pongTimeout", options.pongTimeout ?? "20 seconds")
  }

const positive = (name: string, input: Duration.Input): Duration.Duration => {
  const duration = Duration.fromInputUnsafe(input)
  if (Duration.toMillis(duration) > 0) return duration
  throw new RangeError(`${name} must be above 0; leave pingInterval out for no pings`)
}

/**
 * Ends when no pong and nothing else has come within the timeout of a ping. Never ends without pings. A pong may wait
 * behind messages that this end does not read, so a paused link counts as alive.
 *
 * @internal
 */
export const untilSilent = (link: Link, pings: Pings | undefined): Effect.Effect<void> => {
  const controls = controlsOf(link)
  if (pings === undefined || controls === undefined) return Effect.never
  const { tcp } = link
  const gate = new Gate()
  let pongs = 0
  controls.listen(() => {}, () => {
    pongs++
    gate.notify()
  })
  const sign = Effect.suspend(() => {
    const [before, read, taken] = [pongs, tcp?.bytesRead, tcp && link.taken()]
    const isAlive = () =>
      pongs > before ||
      (tcp !== undefined &&
        // The ping may wait in this end, behind bytes that a full link goes on taking.
        (tcp.bytesRead !== read || tcp.isPaused() || (link.isFull() && link.taken() !== taken)))
    controls.ping(data)
    return Effect.timeoutOrElse(gate.until(() => pongs > before), {
      duration: pings.timeout,
      orElse: () => Effect.flatMap(untilRead, () => isAlive() ? Effect.void : Effect.fail("silent"))
    })
  })
  return Effect.sleep(pings.interval).pipe(
    Effect.andThen(sign),
    Effect.forever,
    Effect.catch(() => Effect.void)
  )
}
