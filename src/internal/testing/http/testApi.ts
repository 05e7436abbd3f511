/**
 * The `HttpApi` that the cases of `api.ts` serve and call.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as Multipart from "effect/http/Multipart"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { chunked, pseudoRandom, sha256, sha256Stream } from "./cases.ts"

export class Item extends Schema.Class<Item>("Item")({
  id: Schema.Int,
  name: Schema.String,
  addedAt: Schema.Date
}) {}

export class Missing extends Schema.TaggedError<Missing>()("Missing", { id: Schema.Int }, { httpApiStatus: 404 }) {}

export class Taken extends Schema.TaggedError<Taken>()("Taken", { name: Schema.String }, { httpApiStatus: 409 }) {}

export class Unauthorized
  extends Schema.TaggedError<Unauthorized>()("Unauthorized", { why: Schema.String }, { httpApiStatus: 401 })
{}

export class StreamBroke extends Schema.TaggedError<StreamBroke>()("StreamBroke", { at: Schema.Int }) {}

export class CurrentUser extends Context.Service<CurrentUser, { readonly name: string }>()("test/CurrentUser") {}

export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CurrentUser }>()(
  "test/Authorization",
  { security: { bearer: HttpApiSecurity.bearer }, error: Unauthorized }
) {}

export const Tick = Schema.Struct({ index: Schema.Int, label: Schema.String })

const items = HttpApiGroup.make("items").add(
  HttpApiEndpoint.get("read", "/items/:id", { params: { id: Schema.Int }, success: Item, error: Missing }),
  HttpApiEndpoint.get("search", "/items", {
    query: { tags: Schema.Array(Schema.String), limit: Schema.optional(Schema.Int), since: Schema.Date },
    headers: { "x-tenant": Schema.String, "x-depth": Schema.Int },
    success: Schema.Struct({
      tags: Schema.Array(Schema.String),
      limit: Schema.NullOr(Schema.Int),
      since: Schema.Date,
      tenant: Schema.String,
      depth: Schema.Int
    })
  }),
  HttpApiEndpoint.post("create", "/items", {
    payload: Schema.Struct({ name: Schema.String.check(Schema.isMinLength(2)) }),
    success: Item.pipe(HttpApiSchema.status(201)),
    error: Taken
  }),
  HttpApiEndpoint.delete("remove", "/items/:id", { params: { id: Schema.Int }, success: HttpApiSchema.NoContent })
)

const account = HttpApiGroup.make("account").add(
  HttpApiEndpoint.get("me", "/me", { success: Schema.String })
).middleware(Authorization)

const files = HttpApiGroup.make("files").add(
  HttpApiEndpoint.post("upload", "/files", {
    payload: Schema.Struct({ title: Schema.String, files: Multipart.FilesSchema }).pipe(HttpApiSchema.asMultipart()),
    success: Schema.Array(Schema.String)
  }),
  HttpApiEndpoint.put("hash", "/hash", {
    payload: HttpApiSchema.StreamUint8Array(),
    success: Schema.String
  }),
  HttpApiEndpoint.get("download", "/files/:size", {
    params: { size: Schema.Int },
    success: HttpApiSchema.StreamUint8Array()
  })
)

const streams = HttpApiGroup.make("streams").add(
  HttpApiEndpoint.get("ticks", "/ticks", {
    success: HttpApiSchema.StreamSse({ data: Tick, error: StreamBroke })
  }),
  HttpApiEndpoint.get("breaks", "/breaks", {
    success: HttpApiSchema.StreamSse({ data: Tick, error: StreamBroke })
  }),
  HttpApiEndpoint.get("rows", "/rows", { success: HttpApiSchema.StreamNdjson({ schema: Tick }) }),
  HttpApiEndpoint.post("double", "/double", {
    payload: HttpApiSchema.StreamNdjson({ schema: Schema.Int }),
    success: HttpApiSchema.StreamNdjson({ schema: Schema.Int })
  })
)

export class TestApi extends HttpApi.make("test").add(items, account, files, streams) {}

/** Opened by the client when it has seen the first element of a stream; the second is produced only then. */
export class Gate extends Context.Service<Gate, Deferred.Deferred<void>>()("test/Gate") {}

const ItemsLive = HttpApiBuilder.group(TestApi, "items", (handlers) =>
  handlers.handleAll({
    read: ({ params }) =>
      params.id > 0
        ? Effect.succeed(new Item({ id: params.id, name: `item ${params.id}`, addedAt: new Date(0) }))
        : Effect.fail(new Missing({ id: params.id })),
    search: ({ headers, query }) =>
      Effect.succeed({
        tags: query.tags,
        limit: query.limit ?? null,
        since: query.since,
        tenant: headers["x-tenant"],
        depth: headers["x-depth"]
      }),
    create: ({ payload }) =>
      payload.name === "taken"
        ? Effect.fail(new Taken({ name: payload.name }))
        : Effect.succeed(new Item({ id: 1, name: payload.name, addedAt: new Date(1) })),
    remove: () => Effect.void
  }))

const AuthorizationLive = Layer.succeed(Authorization, {
  bearer: (handler, { credential }) =>
    Redacted.value(credential) === "secret"
      ? Effect.provideService(handler, CurrentUser, { name: "ada" })
      : Effect.fail(new Unauthorized({ why: "unknown token" }))
})

const AccountLive = HttpApiBuilder.group(
  TestApi,
  "account",
  (handlers) => handlers.handle("me", () => Effect.map(CurrentUser, (user) => user.name))
).pipe(Layer.provide(AuthorizationLive))

const FilesLive = HttpApiBuilder.group(
  TestApi,
  "files",
  Effect.fnUntraced(function*(handlers) {
    const fs = yield* FileSystem.FileSystem
    return handlers.handleAll({
      upload: ({ payload }) =>
        Effect.forEach(
          payload.files,
          (file) => Effect.map(fs.readFile(file.path), (bytes) => `${payload.title} ${file.name} ${sha256(bytes)}`)
        ).pipe(
          Effect.orDie
        ),
      hash: ({ payload }) => Effect.orDie(sha256Stream(payload)),
      download: ({ params }) => Effect.succeed(chunked(pseudoRandom(params.size), 10_007))
    })
  })
)

const gatedTicks = (gate: Deferred.Deferred<void>) =>
  Stream.concat(
    Stream.make({ index: 0, label: "first" }),
    Stream.unwrap(Effect.as(Deferred.await(gate), Stream.make({ index: 1, label: "sécond\nline" })))
  )

const StreamsLive = HttpApiBuilder.group(
  TestApi,
  "streams",
  Effect.fnUntraced(function*(handlers) {
    const gate = yield* Gate
    return handlers.handleAll({
      ticks: () => Effect.succeed(gatedTicks(gate)),
      breaks: () =>
        Effect.succeed(
          Stream.concat(Stream.make({ index: 0, label: "only" }), Stream.fail(new StreamBroke({ at: 1 })))
        ),
      rows: () => Effect.succeed(gatedTicks(gate)),
      double: ({ payload }) => Effect.succeed(Stream.map(payload, (value) => value * 2))
    })
  })
)

export const TestApiLive = HttpApiBuilder.layer(TestApi, { openapiPath: "/openapi.json" }).pipe(
  Layer.provide([ItemsLive, AccountLive, FilesLive, StreamsLive])
)
