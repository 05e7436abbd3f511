import { makePeer } from "../swaggersocket.ts"

const window = 256 * 1024

export default makePeer("the same with windows of 256 KiB that do not grow", {
  streamWindow: window,
  maxStreamWindow: window,
  connectionWindow: window,
  maxConnectionWindow: window
}, ({ down }) => ({ down }))
