import { MiB } from "../content.ts"
import { makePeer } from "../http2.ts"

export default makePeer("with windows of 8 MiB for a stream and 16 MiB for the session", {
  stream: 8 * MiB,
  session: 16 * MiB
})
