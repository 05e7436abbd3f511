import { makePeer } from "../swaggersocket.ts"

export default makePeer(
  "the same with 10,000 concurrent streams allowed",
  { maxConcurrentStreams: 10_000 },
  ({ small }) => ({
    streams: small
  })
)
