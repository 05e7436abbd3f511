import { makePeer } from "../swaggersocket.ts"

export default makePeer("effect-swaggersocket: the same `HttpRouter` and `HttpClient` over one WebSocket")
