/**
 * Links over streams of Node that are no sockets, such as the standard input and output of a process.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { assert, it } from "@effect/vitest"
import * as Link from "effect-swaggersocket/Link"
import * as Effect from "effect/Effect"
import { Duplex, PassThrough } from "node:stream"
import { turn } from "../support/waiting.ts"

it.live("a stream that fails because it is dropped does not end the process", () =>
  Effect.gen(function*() {
    const failures: Array<unknown> = []
    const listen = (error: unknown) => void failures.push(error)
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("uncaughtException", listen)),
      () => Effect.sync(() => process.off("uncaughtException", listen))
    )
    const stream = Duplex.from({ readable: new PassThrough(), writable: new PassThrough() })
    const link = yield* Effect.flatMap(
      NodeSocket.fromDuplex(Effect.succeed(stream)),
      (socket) => Link.fromSocket(socket)
    )
    link.terminate()
    assert.strictEqual((yield* Effect.flip(link.pull)).message, "1006")
    for (let turns = 0; turns < 10; turns++) yield* turn
    assert.isTrue(stream.destroyed)
    assert.deepStrictEqual(failures, [])
  }))
