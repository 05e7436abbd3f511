/**
 * A shell on a device, through the connection that the device has dialled: a request is upgraded, and its stream carries what is
 * typed and what is printed. Nothing on the device listens on a port.
 *
 *     npx tsx examples/shell-on-a-device.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import { Duplex } from "node:stream"

// 1. The device. Who may have a shell is for its handler to decide.

const sh = NodeSocket.fromDuplex(
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => spawn("sh", { stdio: ["pipe", "pipe", "inherit"] })),
      (process) => Effect.sync(() => process.kill())
    ),
    ({ stdin, stdout }) => Duplex.from({ readable: stdout, writable: stdin })
  )
)

/** Writes what is read. At its end the writer is released, which ends that direction alone. */
const pass = ({ pull }: Socket.Reader, to: Socket.Socket) =>
  Effect.scoped(
    Effect.flatMap(to.writer, (writer) => Effect.forever(Effect.flatMap(pull, writer.writeAll)))
  ).pipe(Effect.catchReason("SocketError", "SocketCloseError", () => Effect.void))

const shell = HttpRouter.add(
  "POST",
  "/shell",
  Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    if (request.headers.upgrade !== "shell") return HttpServerResponse.empty({ status: 426 })
    const caller = yield* request.upgrade
    const process = yield* sh
    const [printed, typed] = [yield* process.reader, yield* caller.reader]
    yield* Effect.all([pass(typed, process), pass(printed, caller)], { concurrency: "unbounded" })
    return HttpServerResponse.empty()
  })
)

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}

const Device = HttpRouter.serve(shell, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provide(ApiServer.layer),
  // Joined in memory. A device elsewhere has `SwaggerSocketClient.layer({ url })`.
  Layer.provideMerge(SwaggerSocketTest.layer(Devices))
)

// 2. The hub.

const program = Effect.gen(function*() {
  const device = yield* (yield* Devices).awaitConnection()
  const response = yield* ApiClient.make(device).execute(
    HttpClientRequest.post("/shell").pipe(HttpClientRequest.upgrade("shell"))
  )
  const socket = yield* response.upgrade

  const commands = ["name=device", "echo \"this is $name\"", "echo $((6 * 7))", "printf 'one\\ntwo\\n' | wc -l", "exit"]
  const typed = Stream.make(...commands.map((command) => `${command}\n`))
  const printed = typed.pipe(
    Stream.pipeThroughChannel(Socket.toChannelString(socket)),
    // The end of the socket.
    Stream.catchReason("SocketError", "SocketCloseError", () => Stream.empty),
    Stream.splitLines
  )
  yield* Stream.runForEach(printed, (line) => Console.log(`the shell prints: ${line.trim()}`))
})

NodeRuntime.runMain(Effect.scoped(Effect.provide(program, Device)))
