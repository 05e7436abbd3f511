/**
 * A reconnection of one's own: ten times a second, for as long as the server may be starting again.
 */
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"

export const layer = Reconnection.layer({
  schedule: Schedule.spaced(Duration.millis(100)).pipe(Schedule.upTo({ times: 100 })),
  retry: (error) => error.reason._tag !== "HandshakeRefused" || error.reason.code !== "FORBIDDEN"
})
