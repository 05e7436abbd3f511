import { makePeer } from "../swaggersocket.ts"

export default makePeer("effect-swaggersocket with sessions switched off: connections end with their link", {
  resumeWindow: 0
})
