import { makePeer } from "../http2.ts"

export default makePeer("with the windows it has by default, 64 KiB")
