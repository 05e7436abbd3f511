import { makePeer } from "../swaggersocket.ts"

export default makePeer("`HttpRouter` and `HttpClient` on one WebSocket; streams of items as server-sent events")
