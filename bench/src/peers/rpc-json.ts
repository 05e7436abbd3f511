import * as RpcSerialization from "effect/rpc/RpcSerialization"
import { makePeer } from "../rpc.ts"

export default makePeer("serialized as JSON", RpcSerialization.layerJson)
