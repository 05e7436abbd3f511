/**
 * PROTOCOL.md, "Handshake": clients that don't say what they should, or nothing at all.
 */
import { assert, describe } from "@effect/vitest"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as Effect from "effect/Effect"
import { hex, request } from "../support/frames.ts"
import { type Fixture, hostile } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { until } from "../support/waiting.ts"

/** The server refuses: with the code, and with the close code that belongs to it. */
const expectRefuse = (
  peer: RawPeer,
  code: string,
  closeCode: number,
  retry = false
): Effect.Effect<{ readonly [member: string]: unknown }> =>
  Effect.gen(function*() {
    const refuse = yield* peer.expectText("refuse")
    assert.strictEqual(refuse.code, code)
    assert.strictEqual(refuse.retry, retry)
    assert.typeOf(refuse.reason, "string")
    yield* peer.expectClose(closeCode)
    return refuse
  })

/** A refused handshake is no connection: nobody is told of one. */
const assertNoConnection = (hub: Fixture) =>
  Effect.gen(function*() {
    yield* hub.expectEvent("ConnectionAttemptFailed")
    assert.deepStrictEqual(hub.events().map((event) => event._tag), ["ConnectionAttemptFailed"])
  })

const invalid = (title: string, message: string | Uint8Array, options = {}) =>
  // PROTOCOL.md HS-5
  hostile(`a client that sends ${title} is refused with HANDSHAKE_INVALID and 4100`, (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.send(message)
      yield* expectRefuse(peer, "HANDSHAKE_INVALID", 4100)
      yield* assertNoConnection(hub)
    }), options)

const hello = (members: Readonly<Record<string, unknown>>) =>
  JSON.stringify({ type: "hello", version: 2, metadata: null, ...members })

/** A hello of exactly this many bytes. */
const helloOf = (size: number, filler = "x"): string => {
  const around = hello({ filler: "" })
  const count = Math.floor((size - around.length) / Buffer.byteLength(filler))
  return hello({ filler: filler.repeat(count) }).padEnd(size - count * (Buffer.byteLength(filler) - filler.length))
}

describe("hello", () => {
  // PROTOCOL.md HS-1
  invalid("text that is no JSON", "GET / HTTP/1.1\r\n\r\n")
  invalid("an empty text", "")
  invalid("an empty binary message", new Uint8Array(0))
  invalid("binary, even if it reads as hello", Buffer.from(hello({})))
  invalid("frames", hex("81 03 01 01 01 2f"))
  for (const text of ["null", "[]", "\"hello\"", "2", "{}", "{\"type\":\"hello\"}", "{\"version\":2}"]) {
    invalid(`JSON that is no hello: ${text}`, text)
  }
  invalid("a message of another type", hello({ type: "ready" }))
  invalid("a version that is no integer", hello({ version: 2.5 }))
  invalid("a version that is text", hello({ version: "2" }))
  invalid("settings that are no object", hello({ settings: 5 }))
  invalid("settings that are null", hello({ settings: null }))

  const settings = {
    maxMessageSize: [32767, 16777217],
    maxFrameSize: [17407, 16777217],
    maxHeadSize: [1023, 1048577],
    maxConcurrentStreams: [-1, 1000001],
    streamWindow: [-1, 2147483648],
    connectionWindow: [65534, 2147483648],
    headTableSize: [-1, 65537],
    upgrade: [-1, 2]
  }
  for (const [name, values] of Object.entries(settings)) {
    for (const value of [...values, 40000.5, "40000", null]) {
      // PROTOCOL.md SET-2
      invalid(`${name} of ${JSON.stringify(value)}`, hello({ settings: { [name]: value } }))
    }
  }

  hostile("the path of a refusal for a setting begins at the hello", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.send(hello({ settings: { maxHeadSize: 5 } }))
      const refuse = yield* expectRefuse(peer, "HANDSHAKE_INVALID", 4100)
      assert.deepStrictEqual(refuse.path, ["settings", "maxHeadSize"])
    }))

  // PROTOCOL.md HS-2, SET-3
  hostile("settings at the ends of their ranges, and unknown members, are accepted", (hub) =>
    Effect.gen(function*() {
      for (const end of [0, 1] as const) {
        const ends = Object.fromEntries(
          Object.entries(settings).map(([name, values]) => [name, values[end]! + (end === 0 ? 1 : -1)])
        )
        const peer = yield* hub.dial()
        yield* peer.handshake({ settings: { ...ends, unknown: "setting" }, unknown: "member" })
        yield* peer.expectAlive()
      }
    }))

  hostile("a hello of 65,536 bytes is accepted", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      const message = helloOf(65536)
      assert.strictEqual(Buffer.byteLength(message), 65536)
      yield* peer.send(message)
      yield* peer.expectText("welcome")
    }))

  // PROTOCOL.md HS-1
  invalid("a hello of 65,537 bytes", helloOf(65537))
  invalid("a hello of 131,072 bytes", helloOf(131072))
  invalid("a hello of a megabyte", helloOf(1_000_000))

  hostile(
    "members named as an object's own, such as __proto__, are ordinary members of hello",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dial()
        const own = ["__proto__", "constructor", "toString", "hasOwnProperty"].map((name) =>
          `"${name}":{"type":"ready"}`
        )
        yield* peer.send(`{"type":"hello","version":2,${own.join()},"settings":{${own.join()}}}`)
        yield* peer.expectText("welcome")
        yield* peer.send(`{"type":"ready",${own.join()}}`)
        yield* peer.expectAlive(1)
        const bare = yield* hub.dial()
        yield* bare.send(`{"__proto__":{"type":"hello","version":2}}`)
        yield* expectRefuse(bare, "HANDSHAKE_INVALID", 4100)
      })
  )

  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`
  hostile(
    "metadata nested more than 64 arrays deep are refused with METADATA_INVALID and 4103, and the reason says so",
    (hub) =>
      Effect.gen(function*() {
        for (const depth of [65, 8000, 30_000]) {
          const peer = yield* hub.dial()
          yield* peer.send(`{"type":"hello","version":2,"metadata":${nested(depth)}}`)
          const refuse = yield* expectRefuse(peer, "METADATA_INVALID", 4103)
          assert.include(refuse.reason, "more than 64 deep")
        }
        // Those are left to the schema.
        const peer = yield* hub.dial()
        yield* peer.send(`{"type":"hello","version":2,"metadata":${nested(64)}}`)
        assert.notInclude((yield* expectRefuse(peer, "METADATA_INVALID", 4103)).reason, "deep")
      })
  )

  const roomy = { limits: { maxMessageSize: 262144 } }
  invalid("a hello of 65,537 bytes, where messages may be longer", helloOf(65537), roomy)
  invalid("a hello of 65,537 bytes in fewer characters, where messages may be longer", helloOf(65537, "é"), roomy)

  hostile("a hello of another version is refused with VERSION_UNSUPPORTED and 4102", (hub) =>
    Effect.gen(function*() {
      for (const version of [1, 3, -1]) {
        const peer = yield* hub.dial()
        yield* peer.send(hello({ version }))
        yield* expectRefuse(peer, "VERSION_UNSUPPORTED", 4102)
      }
    }))

  // PROTOCOL.md HS-8
  hostile(
    "a hello of another version is refused with VERSION_UNSUPPORTED, whatever else it holds",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dial()
        yield* peer.send(hello({ version: 3, settings: "of version 3", metadata: 5, resume: 7 }))
        yield* expectRefuse(peer, "VERSION_UNSUPPORTED", 4102)
      })
  )

  hostile("a resume in hello is ignored by a server without sessions", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.send(hello({ resume: { connectionId: "c", token: "t", epoch: "e", received: 3 } }))
      const welcome = yield* peer.expectText("welcome")
      assert.strictEqual(welcome.resumed, false)
      assert.notStrictEqual(welcome.connectionId, "c")
      assert.isUndefined(welcome.session)
    }))

  // PROTOCOL.md HS-4
  hostile("a client that is silent after the upgrade is closed with 4101", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.expectClose(4101)
      yield* assertNoConnection(hub)
    }), { limits: { handshakeTimeout: "200 millis" } })

  hostile(
    "text that is not valid UTF-8 is closed with 4100, or with 1007 by the WebSocket library",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dial()
        const message = Buffer.concat([
          Buffer.from(hello({}).slice(0, -1) + ",\"x\":\""),
          hex("c3 28"),
          Buffer.from("\"}")
        ])
        peer.ws.send(message, { binary: false })
        yield* peer.expectClose(4100, 1007)
        yield* assertNoConnection(hub)
      })
  )
})

describe("metadata", () => {
  const refusedAt = (title: string, metadata: unknown, path: ReadonlyArray<string | number>) =>
    hostile(
      `metadata in which ${title} are refused with METADATA_INVALID, which names the member, and 4103`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.dial()
          yield* peer.hello({ metadata })
          const refuse = yield* expectRefuse(peer, "METADATA_INVALID", 4103)
          assert.deepStrictEqual(refuse.path, path)
          assert.notInclude(JSON.stringify(refuse), "s3cret")
          yield* assertNoConnection(hub)
        })
    )

  refusedAt("a member is missing", { tags: [] }, ["name"])
  refusedAt("a member has the wrong type", { name: { password: "s3cret" } }, ["name"])
  refusedAt("an element has the wrong type", { name: "a", tags: ["b", 5] }, ["tags", 1])
  refusedAt("there is no object", "s3cret", [])

  hostile("deeply nested metadata are refused with METADATA_INVALID and 4103", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.send(`{"type":"hello","version":2,"metadata":${"[".repeat(30000)}${"]".repeat(30000)}}`)
      yield* expectRefuse(peer, "METADATA_INVALID", 4103)
    }))

  hostile("a member __proto__ in the metadata pollutes nothing", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.send(`{"type":"hello","version":2,"__proto__":{"x":1},"metadata":{"name":"a","__proto__":{"y":1}}}`)
      yield* peer.expectText("welcome")
      assert.isUndefined(({} as Record<string, unknown>).x)
      assert.isUndefined(({} as Record<string, unknown>).y)
    }))
})

describe("authentication", () => {
  const codes = { UNAUTHENTICATED: 4104, FORBIDDEN: 4105, OVERLOADED: 4106, GOING_AWAY: 4107 } as const
  for (const code of Object.keys(codes) as ReadonlyArray<keyof typeof codes>) {
    for (const retry of [undefined, true, false]) {
      const expected = retry ?? (code === "OVERLOADED" || code === "GOING_AWAY")
      // PROTOCOL.md HS-9
      hostile(
        `authenticate failing with ${code} and retry ${retry} refuses with retry ${expected} and ${codes[code]}`,
        (hub) =>
          Effect.gen(function*() {
            const peer = yield* hub.dial()
            yield* peer.hello({ metadata: { name: "nobody" } })
            const refuse = yield* expectRefuse(peer, code, codes[code], expected)
            assert.strictEqual(refuse.reason, "not you")
            yield* assertNoConnection(hub)
          }),
        {
          authenticate: ({ metadata }) =>
            metadata?.name === "nobody"
              ? Effect.fail(
                new Handshake.Refusal({ code, reason: "not you", ...(retry === undefined ? undefined : { retry }) })
              )
              : Effect.succeed("somebody")
        }
      )
    }
  }

  hostile("authenticate that dies refuses its client with 1011, and nobody else", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.hello({ metadata: { name: "nobody" } })
      yield* peer.expectClose(1011)
      assert.deepStrictEqual(yield* hub.server.filter(({ metadata }) => metadata?.name === "nobody"), [])
    }), {
    authenticate: ({ metadata }) =>
      metadata?.name === "nobody" ? Effect.die(new Error("a bug")) : Effect.succeed("somebody")
  })

  hostile("authenticate that takes for ever is ended with 4101", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.hello({ metadata: { name: "nobody" } })
      yield* peer.expectClose(4101)
      yield* assertNoConnection(hub)
    }), {
    limits: { handshakeTimeout: "200 millis" },
    authenticate: ({ metadata }) => metadata?.name === "nobody" ? Effect.never : Effect.succeed("somebody")
  })
})

describe("ready", () => {
  const insteadOfReady = (title: string, message: string | Uint8Array, options = {}) =>
    // PROTOCOL.md HS-6
    hostile(
      `${title} instead of ready is closed with 4100 without refuse, and nothing is processed`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.dial()
          yield* peer.hello()
          yield* peer.expectText("welcome")
          yield* peer.send(message)
          yield* peer.expectClose(4100)
          assert.deepStrictEqual(peer.log.map((event) => event._tag), ["Text", "Close"])
          yield* assertNoConnection(hub)
        }),
      options
    )

  insteadOfReady("a second hello", hello({}))
  insteadOfReady("garbage", "ready")
  insteadOfReady("a binary ready", Buffer.from("{\"type\":\"ready\"}"))
  insteadOfReady("a message of frames", hex("81 07 01 01 05 2f 70 69 6e 67"))
  insteadOfReady("a ready of 65,537 bytes", "{\"type\":\"ready\"}".padEnd(65537), {
    limits: { maxMessageSize: 262144 }
  })

  // PROTOCOL.md HS-4
  hostile("a client that is silent after welcome is closed with 4101", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.hello()
      yield* peer.expectText("welcome")
      yield* peer.expectClose(4101)
      yield* assertNoConnection(hub)
    }), { limits: { handshakeTimeout: "200 millis" } })

  // PROTOCOL.md HS-3
  hostile("a server sends no frames before ready", (hub) =>
    Effect.gen(function*() {
      const early = yield* hub.dial()
      yield* early.hello()
      yield* early.expectText("welcome")
      // The heartbeat of a connection that began later.
      const later = yield* hub.connect()
      yield* later.expectFrame("Ping")
      assert.deepStrictEqual(early.log.map((event) => event._tag), ["Text"])
      yield* early.send(`{"type":"ready"}`)
      yield* early.expectFrame("Ping")
    }), { heartbeat: { interval: "50 millis" } })

  hostile("handshakeTimeout starts with the upgrade, not with hello", (hub) =>
    Effect.gen(function*() {
      const closed: Array<string> = []
      const dial = Effect.fnUntraced(function*(name: string) {
        const peer = yield* hub.dial()
        peer.ws.once("close", () => closed.push(name))
        return peer
      })
      const first = yield* dial("the first")
      yield* Effect.sleep("300 millis")
      const second = yield* dial("the second")
      for (const peer of [second, first]) {
        yield* peer.hello()
        yield* peer.expectText("welcome")
      }
      for (const peer of [first, second]) yield* peer.expectClose(4101)
      yield* until("both are closed", () => closed.length === 2)
      assert.deepStrictEqual(closed, ["the first", "the second"])
    }), { limits: { handshakeTimeout: "2 seconds" } })

  hostile("requests may follow ready at once, and hello and ready may come together", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      peer.ws.send(hello({}))
      peer.ws.send(`{"type":"ready","unknown":"member"}`)
      peer.sendNow(request(1, "/ping"))
      yield* peer.expectText("welcome")
      assert.strictEqual((yield* peer.expectResponse(1)).status, 200)
    }))
})
