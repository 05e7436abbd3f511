/**
 * PROTOCOL.md, "Outcome of a call" and "Drain": servers that reset calls, or go away.
 */
import { assert, describe } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Stream from "effect/Stream"
import { call, hostileServer, othersGoOn, reasonOf } from "../support/clientUnderAttack.ts"
import { data, goAway, reset, response } from "../support/frames.ts"
import { until, within } from "../support/waiting.ts"

const head = response(1, 200, { end: false })

describe("resets", () => {
  const outcomes = {
    INTERNAL_ERROR: "unknown",
    PROTOCOL_ERROR: "unknown",
    CANCELLED: "unknown",
    MALFORMED: "unknown",
    NO_ERROR: "unknown",
    STREAM_CLOSED: "unknown",
    HEAD_TOO_LARGE: "not-processed"
  } as const
  for (const code of Object.keys(outcomes) as Array<keyof typeof outcomes>) {
    const outcome = outcomes[code]
    // PROTOCOL.md ERR-6
    hostileServer(
      `RESET ${code} before the response fails the call, ${outcome}, which is not repeated`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
          yield* peer.expectFrame("Request", 1)
          yield* peer.sendFrames(reset(1, code, "because"))
          const reason = reasonOf(yield* within("the call", Fiber.await(calling)))
          assert.deepInclude(reason, {
            _tag: "StreamReset",
            initiator: "remote",
            code,
            description: "because",
            outcome
          })
          yield* othersGoOn(fixture, peer)
        })
    )
  }

  // PROTOCOL.md ERR-4
  hostileServer("a RESET with an unknown code is INTERNAL_ERROR", (fixture) =>
    Effect.gen(function*() {
      const peer = yield* fixture.accept()
      const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
      yield* peer.expectFrame("Request", 1)
      yield* peer.sendHex("04 03 01 43 e7")
      const reason = reasonOf(yield* within("the call", Fiber.await(calling)))
      assert.deepInclude(reason, { _tag: "StreamReset", code: "INTERNAL_ERROR", outcome: "unknown" })
    }))

  for (const code of ["INTERNAL_ERROR", "NO_ERROR"] as const) {
    hostileServer(
      `RESET ${code} within a response fails its reader with an unknown outcome`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
          yield* peer.expectFrame("Request", 1)
          yield* peer.sendFrames(head, data(1, "half"))
          yield* peer.expectAlive()
          yield* peer.sendFrames(reset(1, code))
          const exit = yield* within("the call", Fiber.await(calling))
          assert.deepInclude(reasonOf(exit), { _tag: "StreamReset", code, outcome: "unknown" })
          yield* othersGoOn(fixture, peer)
        })
    )
  }

  for (const code of ["REFUSED_STREAM", "NOT_SERVING"] as const) {
    hostileServer(
      `RESET ${code} makes the client repeat the call whatever its method, and it succeeds`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          const calling = yield* Effect.forkChild(
            call(fixture.http.execute(HttpClientRequest.bodyText(HttpClientRequest.post("/"), "text")))
          )
          yield* peer.expectFrame("Request", 1)
          yield* peer.sendFrames(reset(1, code))
          assert.strictEqual((yield* peer.expectFrame("Request", 3)).method, "POST")
          yield* peer.sendFrames(response(3, 200, { end: false }), data(3, "done", true))
          assert.deepStrictEqual(yield* within("the call", Fiber.join(calling)), { status: 200, text: "done" })
        })
    )
  }

  for (const code of ["NO_ERROR", "CANCELLED", "INTERNAL_ERROR"] as const) {
    // PROTOCOL.md STR-11
    hostileServer(
      `RESET ${code} after a complete response stops the upload, and the call succeeds`,
      (
        fixture
      ) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          let stopped = false
          const body = Stream.onExit(
            Stream.forever(Stream.make(new Uint8Array(1000))),
            () =>
              Effect.sync(() => {
                stopped = true
              })
          )
          const calling = yield* Effect.forkChild(call(fixture.http.execute(
            HttpClientRequest.bodyStream(HttpClientRequest.post("/"), body)
          )))
          yield* peer.expectFrame("Request", 1)
          yield* peer.expectFrame("Data", 1)
          yield* peer.sendFrames(response(1, 413, { end: false }), data(1, "enough", true))
          yield* peer.expectAlive()
          assert.isFalse(stopped)
          yield* peer.sendFrames(reset(1, code))
          assert.deepStrictEqual(yield* within("the call", Fiber.join(calling)), { status: 413, text: "enough" })
          yield* until("the upload stops", () => stopped)
          yield* othersGoOn(fixture, peer)
          assert.isFalse(peer.log.some((event) => event._tag === "Frame" && event.frame._tag === "Reset"))
        })
    )
  }
})

describe("limits of a server", () => {
  // PROTOCOL.md HEAD-13
  hostileServer(
    "a head above the server's maxHeadSize is not sent, and other calls go on",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept({ settings: { maxHeadSize: 1024 } })
        const exit = yield* within("the call", Effect.exit(call(fixture.http.get(`/${"x".repeat(1024)}`))))
        assert.deepInclude(reasonOf(exit), { initiator: "local", code: "HEAD_TOO_LARGE", outcome: "not-sent" })
        yield* othersGoOn(fixture, peer, 1)
      })
  )

  hostileServer("calls above the server's maxConcurrentStreams wait", (fixture) =>
    Effect.gen(function*() {
      const peer = yield* fixture.accept({ settings: { maxConcurrentStreams: 1 } })
      const calls = yield* Effect.forkChild(
        Effect.all([1, 2, 3].map(() => call(fixture.http.get("/"))), { concurrency: "unbounded" })
      )
      for (const id of [1, 3, 5]) {
        yield* peer.expectFrame("Request", id)
        yield* peer.expectAlive()
        assert.strictEqual(
          peer.log.filter((event) => event._tag === "Frame" && event.frame._tag === "Request").length,
          (id + 1) / 2
        )
        yield* peer.sendFrames(response(id, 204))
      }
      assert.strictEqual((yield* within("the calls", Fiber.join(calls))).length, 3)
    }))
})

describe("GOAWAY", () => {
  // PROTOCOL.md DRN-2
  hostileServer(
    "streams above a GOAWAY's last stream id are not processed, and are repeated on another link",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const first = yield* Effect.forkChild(call(fixture.http.get("/first")))
        yield* peer.expectFrame("Request", 1)
        const second = yield* Effect.forkChild(
          call(fixture.http.execute(HttpClientRequest.bodyText(HttpClientRequest.post("/second"), "text")))
        )
        yield* peer.expectFrame("Request", 3)
        yield* peer.sendFrames(goAway(1, "NO_ERROR", "restart"))
        const next = yield* fixture.accept()
        assert.strictEqual((yield* next.expectFrame("Request", 1)).target, "/second")
        yield* next.sendFrames(response(1, 204))
        assert.strictEqual((yield* within("the second call", Fiber.join(second))).status, 204)
        // The first goes on, on the link that is going away.
        yield* peer.sendFrames(head, data(1, "done", true))
        assert.deepStrictEqual(yield* within("the first call", Fiber.join(first)), { status: 200, text: "done" })
        yield* peer.close(1001)
      })
  )

  hostileServer(
    "streams above the last stream id of a GOAWAY with a close are repeated, and others are unknown",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const first = yield* Effect.forkChild(call(fixture.http.get("/first")))
        yield* peer.expectFrame("Request", 1)
        const second = yield* Effect.forkChild(
          call(fixture.http.execute(HttpClientRequest.bodyText(HttpClientRequest.post("/second"), "text")))
        )
        yield* peer.expectFrame("Request", 3)
        yield* peer.sendFrames(goAway(1, "NO_ERROR", "restart"))
        yield* peer.close(1001)
        const exit = yield* within("the first call", Fiber.await(first))
        assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "unknown" })
        const next = yield* fixture.accept()
        assert.strictEqual((yield* next.expectFrame("Request", 1)).target, "/second")
        yield* next.sendFrames(response(1, 204))
        assert.strictEqual((yield* within("the second call", Fiber.join(second))).status, 204)
      })
  )

  // PROTOCOL.md DRN-1
  hostileServer(
    "a call after a GOAWAY is not sent on that link, and goes to the next",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const open = yield* Effect.forkChild(call(fixture.http.get("/open")))
        yield* peer.expectFrame("Request", 1)
        yield* peer.sendFrames(goAway(1, "NO_ERROR"))
        yield* peer.expectAlive()
        const late = yield* Effect.forkChild(call(fixture.http.get("/late")))
        const next = yield* fixture.accept()
        assert.strictEqual((yield* next.expectFrame("Request", 1)).target, "/late")
        yield* next.sendFrames(response(1, 204))
        assert.strictEqual((yield* within("the late call", Fiber.join(late))).status, 204)
        yield* peer.sendFrames(response(1, 204))
        assert.strictEqual((yield* within("the open call", Fiber.join(open))).status, 204)
        assert.strictEqual(
          peer.log.filter((event) => event._tag === "Frame" && event.frame._tag === "Request").length,
          1
        )
      })
  )

  hostileServer(
    "a stream above the last stream id of a GOAWAY with an error is repeated, and another is unknown",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const first = yield* Effect.forkChild(call(fixture.http.get("/first")))
        yield* peer.expectFrame("Request", 1)
        const second = yield* Effect.forkChild(call(fixture.http.get("/second")))
        yield* peer.expectFrame("Request", 3)
        yield* peer.sendFrames(goAway(1, "UNKNOWN_FRAME", "what is this?"))
        yield* peer.close(4012, "what is this?")
        const exit = yield* within("the first call", Fiber.await(first))
        assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "unknown" })
        const { error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "local", code: "UNKNOWN_FRAME" })
        const next = yield* fixture.accept()
        assert.strictEqual((yield* next.expectFrame("Request", 1)).target, "/second")
        yield* next.sendFrames(response(1, 204))
        assert.strictEqual((yield* within("the second call", Fiber.join(second))).status, 204)
      })
  )

  hostileServer(
    "a GOAWAY on each link at once makes the client dial again no faster than its schedule allows",
    (fixture) =>
      Effect.gen(function*() {
        const first = performance.now()
        for (let link = 0; link < 10; link++) {
          const peer = yield* fixture.accept()
          yield* peer.sendFrames(goAway(0, "NO_ERROR"))
        }
        // The first time it may well do so at once.
        assert.isAbove(performance.now() - first, 8 * 200)
      }),
    { pause: "200 millis" }
  )

  hostileServer(
    "a GOAWAY without a close on each link does not make the client keep all links",
    (fixture) =>
      Effect.gen(function*() {
        for (let link = 0; link < 20; link++) {
          const peer = yield* fixture.accept()
          yield* peer.sendFrames(goAway(0, "NO_ERROR"))
        }
        yield* until("the links without a call are closed", () => fixture.server.sockets.size <= 2)
      })
  )

  hostileServer(
    "a GOAWAY on a connection that is not renewed leaves higher streams not processed, later calls not sent",
    (
      fixture
    ) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const http = ApiClient.make(yield* fixture.client.connection)
        // A stream can't be repeated, so the caller sees what happened.
        const upload = http.execute(HttpClientRequest.bodyStream(HttpClientRequest.post("/"), Stream.never))
        const first = yield* Effect.forkChild(call(upload))
        yield* peer.expectFrame("Request", 1)
        const second = yield* Effect.forkChild(call(upload))
        yield* peer.expectFrame("Request", 3)
        yield* peer.sendFrames(goAway(1, "NO_ERROR", "restart"))
        const above = reasonOf(yield* within("the second call", Fiber.await(second)))
        assert.deepInclude(above, { initiator: "remote", outcome: "not-processed", description: "restart" })
        const late = reasonOf(yield* within("a late call", Effect.exit(call(upload))))
        assert.deepInclude(late, { outcome: "not-sent" })
        yield* peer.sendFrames(head, data(1, "done", true), reset(1, "NO_ERROR"))
        assert.deepStrictEqual(yield* within("the first call", Fiber.join(first)), { status: 200, text: "done" })
        assert.strictEqual(
          peer.log.filter((event) => event._tag === "Frame" && event.frame._tag === "Request").length,
          2
        )
      })
  )
})
