/**
 * A server of devices that say their name, and such devices in memory.
 */
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

export class DeviceInfo extends Schema.Class<DeviceInfo>("DeviceInfo")({
  name: Schema.String,
  since: Schema.DateFromString
}) {}

export class Devices extends SwaggerSocketServer.Service<Devices>()("test/Devices", { metadata: DeviceInfo }) {}

const metadata = (name: string) => ({ name, since: "2026-01-02T03:04:05.000Z" })

/** A device in memory, for a server of `Devices`. */
export const device = (name: string) =>
  Layer.build(SwaggerSocketTest.layerClient(Devices, { metadata: metadata(name) }))
