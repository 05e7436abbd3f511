import { once } from "node:events"
import { type Payload, type RSocket, RSocketConnector, RSocketServer } from "rsocket-core"
import { WebsocketClientTransport } from "rsocket-websocket-client"
import { WebsocketServerTransport } from "rsocket-websocket-server"
import { WebSocket, WebSocketServer } from "ws"
import { answer, BodyCheck, chunks, encodedItems, headers, type Item } from "../content.ts"
import { portOf } from "../node.ts"
import { type Peer, promised } from "../peer.ts"

type Requester = Parameters<RSocket["requestStream"]>[2]

/** Elements that may be on their way; half as many are asked for again. */
const credit = 64

const encode = (value: unknown) => Buffer.from(JSON.stringify(value))
const decode = (data: Buffer | null | undefined) => JSON.parse(String(data))

/** Sends elements as they are asked for. */
const respond = (
  elements: Iterator<Buffer>,
  requested: number,
  requester: Pick<Requester, "onNext" | "onComplete">
) => {
  let ended = false
  const request = (n: number) => {
    for (let i = 0; i < n && !ended; i++) {
      const { done, value } = elements.next()
      if (done === true) {
        ended = true
        requester.onComplete()
      } else requester.onNext({ data: value }, false)
    }
  }
  request(requested)
  return { request, cancel: () => ended = true, onExtension() {} }
}

/** Takes elements and asks for more. */
const subscriber = (
  request: (n: number) => void,
  receive: (data: Buffer) => void,
  onComplete: () => void,
  onError: (error: Error) => void
) => {
  let taken = 0
  return {
    onNext({ data }: Payload) {
      receive(data!)
      if (++taken % (credit / 2) === 0) request(credit / 2)
    },
    onComplete,
    onError,
    onExtension() {}
  }
}

const responder: Partial<RSocket> = {
  requestResponse({ data, metadata }, requester) {
    requester.onNext({ data: encode(answer(decode(data), decode(metadata))) }, true)
    return { cancel() {}, onExtension() {} }
  },
  requestStream({ data }, requested, requester) {
    const request = decode(data)
    return respond("items" in request ? encodedItems(request.items, encode) : chunks(request), requested, requester)
  },
  requestChannel(_payload, _requested, _completed, requester) {
    const check = new BodyCheck()
    const upload = subscriber(
      (n) => requester.request(n),
      (chunk) => check.add(chunk),
      () => requester.onNext({ data: encode(check.length) }, true),
      requester.onError
    )
    requester.request(credit)
    return { ...upload, request() {}, cancel() {} }
  }
}

const peer: Peer = {
  title: "RSocket over WebSocket; bodies and items as request-stream and request-channel",

  async serve() {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 })
    await new RSocketServer({
      transport: new WebsocketServerTransport({ wsCreator: () => server as never }),
      acceptor: { accept: () => Promise.resolve(responder) }
    }).bind()
    if (server.address() === null) await once(server, "listening")
    return portOf(server)
  },

  async connect(port) {
    const rsocket = await new RSocketConnector({
      transport: new WebsocketClientTransport({
        url: `ws://127.0.0.1:${port}`,
        wsCreator: (url) => new WebSocket(url) as never
      })
    }).connect()
    const small = promised((id: number) =>
      new Promise<Item>((resolve, onError) => {
        rsocket.requestResponse({ data: encode(id), metadata: encode(headers(id)) }, {
          onNext: ({ data }) => resolve(decode(data)),
          onError,
          onComplete() {},
          onExtension() {}
        })
      })
    )
    const stream = (request: unknown, receive: (data: Buffer) => void) =>
      new Promise<void>((resolve, reject) => {
        const upstream = rsocket.requestStream(
          { data: encode(request) },
          credit,
          subscriber((n) => upstream.request(n), receive, resolve, reject)
        )
      })
    return {
      connection: true,
      small,
      streams: small,
      down: stream,
      up: (body) =>
        new Promise((resolve, onError) => {
          const channel = rsocket.requestChannel({ data: Buffer.alloc(0) }, 1, false, {
            onNext: ({ data }) => resolve(decode(data)),
            onError,
            onComplete() {},
            onExtension() {},
            request: (n) => upload.request(n),
            cancel() {}
          })
          const upload = respond(chunks(body), 0, channel)
        }),
      items: (count, receive) => stream({ items: count }, (data) => receive(decode(data)))
    }
  }
}

export default peer
