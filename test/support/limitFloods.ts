/**
 * How a peer uses up each limit of its connection that is told of, and what it is answered.
 */
import type * as Limits from "effect-swaggersocket/Limits"
import * as Effect from "effect/Effect"
import type { Frame } from "../../src/internal/frame/Frame.ts"
import type { LimitName } from "../../src/internal/quota/limits.ts"
import { data, goAway, ping, request, reset } from "./frames.ts"
import type { Fixture } from "./hubUnderAttack.ts"
import type { RawPeer } from "./rawPeer.ts"
import { until } from "./waiting.ts"

export interface LimitFlood {
  readonly limits: Limits.Options
  /** Members of its hello. */
  readonly hello?: Record<string, unknown>
  readonly send: (peer: RawPeer, hub: Fixture) => Effect.Effect<unknown, unknown>
  /** The answer in words, as it is printed. */
  readonly answered: string
  /** Waits for the answer. */
  readonly answer: (peer: RawPeer, hub: Fixture) => Effect.Effect<unknown, unknown>
}

const times = <A>(count: number, make: (n: number) => A): ReadonlyArray<A> =>
  Array.from({ length: count }, (_, n) => make(n))

/** Nothing to read: a peer that does not read would not see the close frame. */
const ends = (_peer: RawPeer, hub: Fixture) => hub.expectEvent("ConnectionFailure")

const excessive = (peer: RawPeer) => peer.expectConnectionError("EXCESSIVE_LOAD")

const sends = (...batches: ReadonlyArray<ReadonlyArray<Frame>>) => (peer: RawPeer) =>
  Effect.sync(() => {
    for (const batch of batches) peer.sendNow(...batch)
  })

/** Goes on until the server has ended the connection. */
const sendsWithoutReading = (frames: ReadonlyArray<Frame>) => (peer: RawPeer, hub: Fixture) =>
  Effect.gen(function*() {
    peer.ws.pause()
    const isOver = () => hub.events().some(({ _tag }) => _tag === "ConnectionFailure")
    for (let n = 0; n < 400 && !isOver(); n++) {
      yield* Effect.callback<void>((resume) => peer.ws.send(peer.encode(...frames), () => resume(Effect.void)))
    }
  })

export const limitFloods: Readonly<Record<LimitName, LimitFlood>> = {
  sendTimeout: {
    answered: "link lost",
    limits: { sendTimeout: "300 millis" },
    hello: { settings: { streamWindow: 2 ** 31 - 1, connectionWindow: 2 ** 31 - 1 } },
    send: (peer) =>
      Effect.sync(() => {
        peer.tcp.pause()
        peer.sendNow(request(1, "/endless"))
      }),
    answer: ends
  },
  messageTimeout: {
    answered: "link lost",
    limits: { messageTimeout: "300 millis" },
    send: (peer) => Effect.sync(() => peer.tcp.write(Buffer.of(0x82))),
    answer: (peer) => peer.expectClose(1006)
  },
  maxUnsentBytes: {
    answered: "EXCESSIVE_LOAD",
    limits: { maxUnsentBytes: 4 * 1024 * 1024 },
    send: (peer) =>
      Effect.sync(() => {
        peer.tcp.pause()
        peer.sendNow(...times(20, (n) => request(2 * n + 1, "/large")))
      }),
    answer: ends
  },
  resetsPerSecond: {
    answered: "EXCESSIVE_LOAD",
    limits: { resetsPerSecond: 1, resetBurst: 100 },
    send: sends(...times(300, (n) => [request(2 * n + 1, "/never"), reset(2 * n + 1, "CANCELLED")])),
    answer: excessive
  },
  controlPerSecond: {
    answered: "EXCESSIVE_LOAD",
    limits: { controlPerSecond: 1, controlBurst: 100 },
    send: sends(times(1000, () => ping("x"))),
    answer: excessive
  },
  maxQueuedControl: {
    answered: "EXCESSIVE_LOAD",
    limits: { controlPerSecond: 1_000_000, controlBurst: 1_000_000, maxQueuedControl: 100 },
    send: sendsWithoutReading([...times(500, () => ping(new Uint8Array(125)))]),
    answer: ends
  },
  emptyDataPerSecond: {
    answered: "EXCESSIVE_LOAD",
    limits: {},
    send: sends(
      [request(1, "/never", { method: "POST", end: false })],
      ...times(20, () => [...times(1000, () => data(1, ""))])
    ),
    answer: excessive
  },
  goAwaysPerSecond: {
    answered: "EXCESSIVE_LOAD",
    limits: {},
    send: sends(...times(10, () => [...times(100, () => goAway(0, "NO_ERROR"))])),
    answer: excessive
  },
  refusedPerSecond: {
    answered: "read from slower",
    limits: { maxConcurrentStreams: 1, refusedPerSecond: 1000, refusedBurst: 10 },
    send: sends(
      [request(1, "/never")],
      ...times(4, (n) => [...times(50, (m) => request(3 + 2 * (50 * n + m), "/ping"))])
    ),
    // All are answered, and later than they could be.
    answer: (peer) => {
      const refused = () => peer.log.filter((event) => event._tag === "Frame" && event.frame._tag === "Reset").length
      return until("all are refused", () => refused() === 200)
    }
  }
}
