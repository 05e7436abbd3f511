/**
 * The credit of connections, counted along: nothing may be left of an exchange, and neither end may owe the other credit.
 */
import { assert } from "@effect/vitest"
import type * as Connection from "effect-swaggersocket/Connection"
import * as Multiplexer from "effect-swaggersocket/Multiplexer"
import * as Context from "effect/Context"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { Decoder } from "../../src/internal/frame/decoder.ts"
import { MiB } from "./bodies.ts"
import type { Ends } from "./connections.ts"
import { eventually } from "./waiting.ts"

/** The credit of a connection in one direction, as the wire tells it. */
interface Ledger {
  /** What the receiver announced. */
  readonly initial: number
  granted: number
  sent: number
}

const ledgers = new WeakMap<object, Ledger>()
const makeMultiplexer = Context.get(Context.empty(), Multiplexer.Multiplexer)

/** Reads all messages of connections along. */
export const layerLedgers = Multiplexer.layer((options) => {
  const mux = makeMultiplexer(options)
  const { pull, receive } = mux
  const ledger: Ledger = { initial: options.remote.connectionWindow, granted: 0, sent: 0 }
  ledgers.set(mux, ledger)
  const received = new Decoder(options.local)
  const sent = new Decoder(options.remote)
  return Object.assign(mux, {
    receive(message: Uint8Array) {
      received.decode(message, (frame) => {
        if (frame._tag === "Credit" && frame.streamId === 0) ledger.granted += frame.increment
        return undefined
      })
      return receive.call(mux, message)
    },
    pull() {
      const message = pull.call(mux)
      if (message instanceof Uint8Array) {
        sent.decode(message, (frame) => {
          if (frame._tag === "Data") ledger.sent += frame.data.length
          return undefined
        })
      }
      return message
    }
  })
})

/** Windows of connections that keep their size. */
export const fixedWindow = { connectionWindow: MiB, maxConnectionWindow: MiB }

/** The credit of a connection was counted from its first message. */
export const assertCounted = (connection: Connection.Connection): void =>
  assert.isTrue(ledgers.has(peerOf(connection).mux), "the credit is not counted")

const assertCredit = (connection: Connection.Connection) => {
  const { mux } = peerOf(connection)
  const ledger = ledgers.get(mux)
  if (ledger === undefined) return
  const available = ledger.initial + ledger.granted - ledger.sent
  // At rest a receiver owes less than three quarters of the window.
  assert.isAbove(available, ledger.initial / 4, "credit of the connection is lost")
  assert.isAtMost(available, ledger.initial, "credit of the connection is given twice")
}

const nothing = { local: 0, remote: 0, waiting: 0, unreadBytes: 0 }

/** Nothing of any exchange is left on either end, and neither owes the other credit. */
export const assertIdle = (ends: Ends) =>
  eventually(() => {
    for (const { mux } of [peerOf(ends.client), peerOf(ends.server)]) {
      assert.deepStrictEqual({ ...mux.active, unreadBytes: mux.unreadBytes }, nothing)
    }
    assertCredit(ends.client)
    assertCredit(ends.server)
  })
