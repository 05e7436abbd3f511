import { makePeer } from "../swaggersocket.ts"

export default makePeer("the same with sessions switched off: connections end with their link", { resumeWindow: 0 })
