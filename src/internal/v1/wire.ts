/**
 * Wire v1 on a link: what Go's programs speak, and what has to be done so that they bear it.
 */
import * as Duration from "effect/Duration"
import type { Limits } from "../../Limits.ts"
import { CloseCode, errorCodeOfClose } from "../frame/errorCode.ts"
import type { Link } from "../link.ts"
import type { Wire } from "../wire.ts"
import { Exchanges } from "./exchanges.ts"
import { accept, dial } from "./handshake.ts"

/**
 * A Go client comes back when its TCP connection is lost, and never after a goodbye: servers say goodbye only when it is
 * meant for good. A Go server has to be told that its client leaves: it does not notice by itself.
 */
const isForGood = (code: number): boolean =>
  code !== CloseCode.GOING_AWAY && code !== CloseCode.RESUMING && errorCodeOfClose(code) === undefined

/** @internal */
export const make = (link: Link, role: "client" | "server", limits: Limits): Wire => ({
  name: "v1",
  handshake: { accept, dial },
  multiplexer: (options) =>
    new Exchanges({
      ...options,
      maxRequestSize: role === "client" ? limits.v1MaxRequestToServer : limits.v1MaxRequestToClient,
      responseTimeout: Duration.toMillis(limits.v1ResponseTimeout),
      stallTimeout: Duration.toMillis(limits.v1StallTimeout),
      correlationId: () => globalThis.crypto.randomUUID(),
      controls: link.controls
    }),
  link: {
    ...link,
    close(code, reason) {
      if (role === "client" || isForGood(code)) link.close(code, reason)
      else link.hangUp()
    }
  }
})
