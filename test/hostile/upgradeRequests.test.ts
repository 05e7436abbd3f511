/**
 * Upgrade requests, and answers to them, that other WebSocket libraries, and other parsers of HTTP, have failed at.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Crypto from "node:crypto"
import * as Net from "node:net"
import { hostileServer, othersGoOn } from "../support/clientUnderAttack.ts"
import { type Fixture, hostile } from "../support/hubUnderAttack.ts"
import { subprotocol } from "../support/rawPeer.ts"
import { upgradeFields } from "../support/upgrade.ts"
import { limit } from "../support/waiting.ts"

const fields = Object.entries({ host: "hub.example", ...upgradeFields, "sec-websocket-protocol": subprotocol })
  .map(([name, value]) => `${name}: ${value}`)

const requestOf = (lines: ReadonlyArray<string>): string => [...lines, "", ""].join("\r\n")

/** An upgrade request with other fields besides. */
const withFields = (...others: ReadonlyArray<string>): string =>
  requestOf(["GET /socket HTTP/1.1", ...fields, ...others])

/** Sends bytes as they are, and gives the status that they are answered; 0 where the connection ends without. */
const statusOf = ({ url }: Fixture, text: string): Effect.Effect<number, Error> =>
  Effect.callback((resume) => {
    const { hostname, port } = new URL(url)
    const socket = Net.connect(Number(port), hostname, () => socket.write(text, "latin1"))
    let received = ""
    socket.on("data", (data) => {
      received += data.toString("latin1")
      if (received.includes("\r\n")) socket.destroy()
    })
    socket.setTimeout(limit, () => socket.destroy(new Error("no answer")))
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "ECONNRESET" && error.code !== "EPIPE") resume(Effect.fail(error))
    })
    socket.on("close", () => resume(Effect.succeed(Number(/^HTTP\/1\.1 (\d{3}) /.exec(received)?.[1] ?? 0))))
    return Effect.sync(() => socket.destroy())
  })

const answered = (title: string, text: string, ...statuses: ReadonlyArray<number>) =>
  hostile(`an upgrade request with ${title} is answered ${statuses.join(" or ")}`, (hub) =>
    Effect.gen(function*() {
      assert.include(statuses, yield* statusOf(hub, text))
    }))

describe("fields of upgrade requests", () => {
  answered("two thousand fields", withFields(...Array.from({ length: 2500 }, () => "a:")), 101, 400, 431)
  answered(
    "two thousand fields before its own",
    requestOf([
      "GET /socket HTTP/1.1",
      ...Array.from({ length: 2500 }, () => "a:"),
      ...fields
    ]),
    101,
    400,
    426,
    431
  )
  answered("a field of 20,000 bytes", withFields(`x: ${"y".repeat(20_000)}`), 431)
  for (
    const name of [
      "constructor",
      "__proto__",
      "toString; hasOwnProperty",
      ",;constructor",
      "permessage-deflate; __proto__"
    ]
  ) {
    answered(`the extension ${name}`, withFields(`sec-websocket-extensions: ${name}`), 101, 400)
  }
  answered("fields named as members of objects", withFields("__proto__: x", "constructor: y", "__proto__: z"), 101)
  answered("a NUL in a field", withFields("x: a\0b"), 400)
  answered("an escape in a field", withFields("x: a\u001bb"), 400)
  answered("a bare CR in a field", withFields("x: a\rsec-websocket-protocol: b"), 400)
  answered("a space before a colon", withFields("x : y"), 400)
  answered("a field on two lines", withFields("x: y", " z: a"), 400)
  answered("a length and chunks", withFields("content-length: 5", "transfer-encoding: chunked"), 400)
  answered("two lengths", withFields("content-length: 0", "content-length: 1"), 400)

  const offering = (offer: string): string =>
    requestOf(["GET /socket HTTP/1.1", ...fields.filter((field) => !field.startsWith("sec-websocket-protocol")), offer])
  answered("a subprotocol behind 15,000 spaces", offering(`sec-websocket-protocol: a${" ".repeat(15_000)}b`), 400)
  answered("15,000 commas for subprotocols", offering(`sec-websocket-protocol: ${",".repeat(15_000)}`), 400)
})

describe("targets of upgrade requests", () => {
  const target = (text: string): string => requestOf([`GET ${text} HTTP/1.1`, ...fields])
  answered("a path above the socket's", target("/socket/../../etc/passwd"), 404)
  answered("an escaped path above the socket's", target("/%2e%2e/socket"), 404)
  answered("two slashes before its path", target("//evil.example/socket"), 404)
  answered("a NUL in its target", target("/socket\0"), 400)
})

describe("hosts of upgrade requests", () => {
  hostile(
    "an upgrade request for two hosts, or for none, is not taken for one that is served",
    (hub) =>
      Effect.gen(function*() {
        const without = fields.filter((field) => !field.startsWith("host"))
        const forHosts = (...hosts: ReadonlyArray<string>) =>
          statusOf(hub, requestOf(["GET /socket HTTP/1.1", ...hosts.map((host) => `host: ${host}`), ...without]))
        assert.strictEqual(yield* forHosts("hub.example"), 101)
        for (const hosts of [["evil.example", "hub.example"], ["hub.example, evil.example"], [""], []]) {
          assert.include([400, 421], yield* forHosts(...hosts), hosts.join(" and "))
        }
        // The authority of a target takes the place of the field (RFC 9112 section 3.2.2).
        const absolute = requestOf(["GET http://evil.example/socket HTTP/1.1", "host: hub.example", ...without])
        assert.strictEqual(yield* statusOf(hub, absolute), 421)
      }),
    { hosts: ["127.0.0.1", "hub.example"] }
  )
})

describe("bytes behind upgrade requests", () => {
  hostile(
    "a request behind an upgrade request is not read as a request, and ends the link",
    (hub) =>
      Effect.gen(function*() {
        const smuggled = requestOf(["GET /ping HTTP/1.1", "host: hub.example"])
        for (const own of [[], [`content-length: ${smuggled.length}`]]) {
          // The second answer is the close frame of a WebSocket, not another head.
          const received = yield* everythingOf(hub, withFields(...own) + smuggled)
          assert.strictEqual(received.match(/HTTP\/1\.1 /g)?.length ?? 0, 1, own.join())
          assert.notInclude(received, "pong")
        }
      })
  )
})

/** Sends bytes as they are, and gives all that comes until the server ends the connection. */
const everythingOf = ({ url }: Fixture, text: string): Effect.Effect<string, Error> =>
  Effect.callback((resume) => {
    const { hostname, port } = new URL(url)
    const socket = Net.connect(Number(port), hostname, () => socket.write(text, "latin1"))
    let received = ""
    socket.on("data", (data) => received += data.toString("latin1"))
    socket.setTimeout(limit, () => socket.destroy(new Error(`no end: ${received}`)))
    socket.on("end", () => socket.end())
    socket.on("error", (error) => resume(Effect.fail(error)))
    socket.on("close", () => resume(Effect.succeed(received)))
    return Effect.sync(() => socket.destroy())
  })

describe("answers to upgrade requests", () => {
  /** A server whose first answer is this one; later clients are let through to another server. */
  const first = (
    answer: (key: string) => string,
    target: string
  ): Effect.Effect<string, never, Scope.Scope> =>
    Effect.map(
      Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          let isFirst = true
          const server = Net.createServer((socket) => {
            socket.on("error", () => {})
            if (!isFirst) {
              const { hostname, port } = new URL(target)
              const onward = Net.connect(Number(port), hostname)
              onward.on("error", () => socket.destroy())
              socket.on("close", () => onward.destroy())
              onward.on("close", () => socket.destroy())
              return void socket.pipe(onward).pipe(socket)
            }
            isFirst = false
            socket.once("data", (data) => {
              const key = /sec-websocket-key: (.*)\r\n/i.exec(data.toString())?.[1] ?? ""
              socket.write(answer(key), "latin1")
            })
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      ),
      (server) => `ws://127.0.0.1:${(server.address() as Net.AddressInfo).port}/socket`
    )

  const accepted = (key: string, ...lines: ReadonlyArray<string>): string =>
    requestOf([
      "HTTP/1.1 101 ",
      "upgrade: websocket",
      "connection: upgrade",
      `sec-websocket-accept: ${
        Crypto.createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
      }`,
      ...lines
    ])
  const selected = `sec-websocket-protocol: ${subprotocol}`

  const answers: Readonly<Record<string, (key: string) => string>> = {
    "compression that was not offered": (key) =>
      accepted(key, selected, "sec-websocket-extensions: permessage-deflate"),
    "compression with a window of 99 bits": (key) =>
      accepted(key, selected, "sec-websocket-extensions: permessage-deflate; server_max_window_bits=99"),
    "an extension named __proto__": (key) => accepted(key, selected, "sec-websocket-extensions: __proto__"),
    "the key of another request": () => accepted("another", selected),
    "20,000 bytes of fields": (key) => accepted(key, selected, `x: ${"y".repeat(20_000)}`),
    "a redirect to another host": () =>
      requestOf(["HTTP/1.1 302 Found", "location: http://evil.example/socket", "content-length: 0"])
  }
  for (const [title, answer] of Object.entries(answers)) {
    hostileServer(
      `an upgrade that is answered with ${title} fails, and the client dials again`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          assert.strictEqual(fixture.server.accepted(), 1)
          yield* othersGoOn(fixture, peer, 1)
        }),
      { before: (url) => first(answer, url) }
    )
  }
})
