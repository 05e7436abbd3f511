import * as RpcSerialization from "effect/rpc/RpcSerialization"
import { makePeer } from "../rpc.ts"

// For small calls a little faster than the others
export default makePeer("serialized by SchemaBinary", RpcSerialization.layerSchemaBinary())
