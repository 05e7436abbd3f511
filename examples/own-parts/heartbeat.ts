/**
 * A heartbeat of one's own: a ping after each silence, and no other. It tells how long the answers take, in milliseconds.
 */
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import { HeartbeatTimeout, SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as Effect from "effect/Effect"

const silence = 200
const patience = 2000

export const layer = (onAnswer: (millis: number) => void) =>
  Heartbeat.layer((link) =>
    Effect.sync((): Heartbeat.Beat => {
      let sentAt = 0
      const untilSilent: Effect.Effect<void> = Effect.suspend(() => {
        const received = link.received()
        return Effect.andThen(
          Effect.sleep(silence),
          Effect.suspend(() => link.received() === received ? Effect.void : untilSilent)
        )
      })
      const beat = Effect.gen(function*() {
        yield* untilSilent
        const received = link.received()
        sentAt = performance.now()
        link.ping(new TextEncoder().encode("still there?"))
        yield* Effect.sleep(patience)
        if (link.received() !== received) return
        return yield* new SwaggerSocketError({ reason: new HeartbeatTimeout({ timeoutMillis: patience }) })
      })
      return {
        run: Effect.forever(beat),
        onPing() {},
        onPong() {
          const millis = performance.now() - sentAt
          link.roundTrip(millis)
          onAnswer(millis)
        }
      }
    })
  )
