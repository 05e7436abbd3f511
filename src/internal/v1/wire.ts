/**
 * Wire v1 on a link, with the workarounds that Go's programs need.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import type { Limits } from "../../Limits.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import { errorCodeOfClose, RefusalCode, retryableRefusals } from "../frame/codes.ts"
import { truncate } from "../frame/encoder.ts"
import type { ClientWire, ServerWire } from "../handshake/wire.ts"
import { formatDate } from "../http/date.ts"
import { controlsOf } from "../link/controls.ts"
import { type Link, maxCloseReason } from "../link/link.ts"
import { heldBack } from "../link/platformSockets.ts"
import type { Randomness } from "../scheduling/random.ts"
import { Exchanges } from "./exchanges.ts"
import { accept, dial } from "./handshake.ts"

const retryable: ReadonlySet<number> = new Set(
  Array.from(retryableRefusals, (name) => RefusalCode[name as keyof typeof RefusalCode])
)

/**
 * A Go client comes back when its TCP connection is lost, and never after a goodbye: servers say goodbye only when it is
 * meant for good. A Go server has to be told that its client leaves: it does not notice by itself.
 */
const isForGood = (code: number): boolean =>
  code !== CloseCode.GOING_AWAY && code !== CloseCode.RESUMING && errorCodeOfClose(code) === undefined &&
  !retryable.has(code)

/** B13: a Go caller with a heartbeat dies of a close frame with any code but 1001. The reason tells which it is. */
const disguised = (code: number, reason: string): string =>
  code === CloseCode.GOING_AWAY ? reason : truncate(`${code} ${reason}`, maxCloseReason)

const recognised = (error: Socket.SocketError): Socket.SocketError => {
  // Pages send 1000 instead.
  if (error.reason._tag !== "SocketCloseError" || error.reason.code > CloseCode.GOING_AWAY) return error
  const match = /^(\d{4}) (.*)$/s.exec(error.reason.closeReason ?? "")
  return match === null ? error : new Socket.SocketError({
    reason: new Socket.SocketCloseError({ code: Number(match[1]), closeReason: match[2] })
  })
}

/** @internal */
export const make = (
  link: Link,
  role: "client" | "server",
  limits: Limits,
  clock: Clock.Clock,
  random: Randomness
): ServerWire & ClientWire => {
  /** When the peer considered itself connected, in milliseconds. */
  let acknowledgedAt: number | undefined = undefined
  const close = link.close.bind(link)
  return {
    name: "v1",
    accept: (handshake, options) =>
      Effect.ensuring(
        accept(handshake, options, random, () => {
          acknowledgedAt = Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
        }),
        Effect.sync(() => link.webSocket && heldBack.get(link.webSocket)?.())
      ),
    dial: (handshake, options) => dial(handshake, options, random),
    multiplexer: (options) =>
      new Exchanges({
        ...options,
        maxRequestSize: role === "client" ? limits.v1MaxRequestToServer : limits.v1MaxRequestToClient,
        responseTimeout: Duration.toMillis(limits.v1ResponseTimeout),
        waited: acknowledgedAt === undefined ? 0 : options.now() - acknowledgedAt,
        stallTimeout: Duration.toMillis(limits.v1StallTimeout),
        correlationId: () => Effect.runSync(random.uuidV4()),
        date: () => formatDate(clock.currentTimeMillisUnsafe()),
        controls: controlsOf(link)
      }),
    link: Object.assign(link, {
      // B1: messages that leave together may be read together.
      cork: undefined,
      uncork: undefined,
      pull: Effect.mapError(link.pull, recognised),
      close(code: number, reason: string) {
        if (role === "client" || isForGood(code)) close(CloseCode.GOING_AWAY, disguised(code, reason))
        // Go does not answer a close frame, and an idle Go program does not even read it.
        link.hangUp()
      }
    })
  }
}
