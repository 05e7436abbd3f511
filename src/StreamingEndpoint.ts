/**
 * Endpoints of an `HttpApi` that stream: the client's messages in, the server's out, or both at once.
 *
 * A streaming endpoint is an ordinary `HttpApiEndpoint`. Its handler is registered with `HttpApiBuilder.group`, takes
 * the messages of the client as a `Stream` in `payload` and answers with a `Stream` or a value; middleware, security,
 * errors, parameters and OpenAPI are those of `effect/http-api`. Two bindings carry it, with the same handlers and the
 * same client type: a WebSocket of its own for each call (PROTOCOL-streaming.md, "Streaming endpoints"), which is also what goa
 * speaks, and any connection of this package. See `StreamingServer` and `StreamingClient`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import { HttpApiPayloadTooLarge, HttpApiSchemaError } from "effect/http-api/HttpApiError"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import type { HttpMethod } from "effect/http/HttpMethod"
import type * as HttpRouter from "effect/http/HttpRouter"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { Shape } from "./internal/streaming/shape.ts"

/**
 * The call asked for a view that its endpoint does not have.
 *
 * **Example** (The default view where there is no other)
 *
 * ```ts
 * import * as StreamingClient from "effect-swaggersocket/StreamingClient"
 * import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
 * import * as Effect from "effect/Effect"
 * import * as HttpApi from "effect/http-api/HttpApi"
 * import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
 * import * as Schema from "effect/Schema"
 *
 * class Weather extends HttpApi.make("Weather").add(
 *   HttpApiGroup.make("sensors").add(
 *     StreamingEndpoint.get("watch", "/watch", {
 *       streamingResult: Schema.Struct({ celsius: Schema.Number, at: Schema.String }),
 *       views: { tiny: Schema.Struct({ celsius: Schema.Number }) }
 *     })
 *   )
 * ) {}
 *
 * export const watch = (client: StreamingClient.ForApi<typeof Weather>) =>
 *   client.sensors.watch({ query: { view: "tiny" } }).pipe(
 *     Effect.catchTag("UnknownView", ({ views }) => Effect.die(`an older server, which knows only ${views.join(", ")}`))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownView extends Schema.TaggedError<UnknownView>()("UnknownView", {
  view: Schema.String,
  views: Schema.Array(Schema.String)
}, { httpApiStatus: 400, description: "The view that was asked for does not exist" }) {
  override get message(): string {
    return `there is no view ${JSON.stringify(this.view)}, only ${this.views.join(", ")}`
  }
}

/**
 * The middleware of every streaming endpoint. `StreamingServer.layer` provides it to the handlers of a group.
 *
 * **Example** (Telling streaming endpoints from others)
 *
 * ```ts
 * import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
 * import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
 *
 * export const isStreaming = ({ middlewares }: HttpApiEndpoint.Top) =>
 *   [...middlewares].some(({ key }) => key === StreamingEndpoint.Streaming.key)
 * ```
 *
 * @since 0.1.0
 * @category middleware
 */
export class Streaming extends HttpApiMiddleware.Service<Streaming>()(
  "effect-swaggersocket/StreamingEndpoint/Streaming"
) {}

/**
 * The middleware of endpoints with views. `StreamingServer.layer` provides it to the handlers of a group.
 *
 * **Example** (Telling endpoints with views from others)
 *
 * ```ts
 * import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
 * import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
 *
 * export const hasViews = ({ middlewares }: HttpApiEndpoint.Top) =>
 *   [...middlewares].some(({ key }) => key === StreamingEndpoint.Views.key)
 * ```
 *
 * @since 0.1.0
 * @category middleware
 */
export class Views extends HttpApiMiddleware.Service<Views>()(
  "effect-swaggersocket/StreamingEndpoint/Views",
  { error: UnknownView }
) {}

/**
 * The view of the call that is being handled or made. Handlers give the whole result; it is projected when it is encoded.
 *
 * **Example** (A handler that leaves out what is costly)
 *
 * ```ts
 * import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
 * import * as Effect from "effect/Effect"
 *
 * declare const forecast: Effect.Effect<string>
 *
 * export const reading = Effect.gen(function*() {
 *   const view = yield* StreamingEndpoint.CurrentView
 *   return { celsius: 21, forecast: view === "tiny" ? "" : yield* forecast }
 * })
 * ```
 *
 * @since 0.1.0
 * @category views
 */
export const CurrentView: Context.Reference<string> = Context.Reference("effect-swaggersocket/CurrentView", {
  defaultValue: () => "default"
})

/**
 * How `payload` fails when a message of the client does not fit its schema, or is too large.
 *
 * @since 0.1.0
 * @category errors
 */
export type BadPayload = HttpApiSchemaError | HttpApiPayloadTooLarge

const refused = (message: string): HttpApiSchemaError =>
  new HttpApiSchemaError({
    kind: "Payload",
    cause: new Schema.SchemaError(new SchemaIssue.InvalidValue({ message }))
  })

const isBadPayload = (value: unknown): value is BadPayload =>
  HttpApiSchemaError.is(value) || HttpApiPayloadTooLarge.is(value)

/** Codes a `BadPayload` as a failure in the middle of a stream. Before the stream `HttpApiBuilder` answers 400 or 413. */
const BadPayloadFromJson = Schema.Struct({ _tag: Schema.tag("BadPayload"), message: Schema.String }).pipe(
  Schema.decodeTo(
    Schema.declare(isBadPayload),
    SchemaTransformation.transform({
      decode: ({ message }): BadPayload => refused(message),
      encode: (error) => ({
        _tag: "BadPayload" as const,
        message: HttpApiSchemaError.is(error) ? error.cause.message : "The message is too large"
      })
    })
  ),
  HttpApiSchema.status(400)
)

/**
 * The schema of a result with views. Handlers give the default view; a client gets the type of the view that it asks for.
 *
 * @since 0.1.0
 * @category views
 */
export interface Viewed<Whole extends Schema.Constraint, ByName> extends
  Schema.Codec<
    Whole["Type"],
    Schema.Json,
    Whole["DecodingServices"] | ByName[keyof ByName][Extract<"DecodingServices", keyof ByName[keyof ByName]>],
    Whole["EncodingServices"] | ByName[keyof ByName][Extract<"EncodingServices", keyof ByName[keyof ByName]>]
  >
{
  readonly "~ByName"?: ByName
}

const viewed = (views: Readonly<Record<string, Schema.Top>>): Schema.Top => {
  const codecs = Object.entries(views).map(([name, schema]) => [name, Schema.toCodecJson(schema)] as const)
  const ofView = (
    code: (schema: Schema.Top) => (value: unknown) => Effect.Effect<unknown, Schema.SchemaError, unknown>
  ) => {
    const coders = new Map(codecs.map(([name, schema]) => [name, code(schema)]))
    // The services that the views need are in the types of the endpoint.
    return (value: unknown): Effect.Effect<unknown, SchemaIssue.Issue> =>
      Effect.flatMap(
        CurrentView,
        (view) => Effect.mapError(coders.get(view)!(value), (error) => error.issue)
      ) as Effect.Effect<unknown, SchemaIssue.Issue>
  }
  return Schema.Union(codecs.map(([, schema]) => Schema.toEncoded(schema) as Schema.Codec<unknown>)).pipe(
    Schema.decodeTo(
      Schema.Unknown,
      SchemaTransformation.transformEffect({
        decode: ofView((schema) => Schema.decodeUnknownEffect(schema)),
        encode: ofView((schema) => Schema.encodeUnknownEffect(schema))
      })
    )
  )
}

type Fields = Schema.Struct.Fields

type Properties<S> = [S] extends [never] ? never
  : S extends Fields ? Schema.toCodecStringTree<Schema.Struct<S>>
  : never

type Listed<E> = E extends ReadonlyArray<Schema.Top> ? E[number] : E extends Schema.Top ? E : never

type Query<Q, V> = [V] extends [never] ? Properties<Q>
  : Properties<
    ([Q] extends [never] ? {} : Q) & { readonly view: Schema.optionalKey<Schema.Literals<ReadonlyArray<ViewName<V>>>> }
  >

type ViewName<V> = "default" | Extract<keyof V, string>

type Whole<S extends Schema.Top, V> = [V] extends [never] ? Schema.toCodecJson<S>
  : Viewed<S, V & { readonly default: S }>

type Failure<E, P> = [P] extends [never] ? Listed<E> : Schema.Codec<
  ([E] extends [never] ? never : Listed<E>["Type"]) | BadPayload,
  unknown,
  [E] extends [never] ? never : Listed<E>["DecodingServices"],
  [E] extends [never] ? never : Listed<E>["EncodingServices"]
>

type Success<R, SR, V, E, P> = [SR] extends [Schema.Top] ? [SR] extends [never] ? Value<R, V>
  : HttpApiSchema.StreamSse<HttpApiSchema.SseEventFromData<Whole<SR, V>>, OrNever<Failure<E, P>>, SR["Type"]>
  : Value<R, V>

type OrNever<E> = [E] extends [never] ? Schema.Never : Extract<E, Schema.Constraint>

type Value<R, V> = [R] extends [never] ? typeof HttpApiSchema.NoContent : R extends Schema.Top ? Whole<R, V> : never

/**
 * A streaming endpoint, as `HttpApiGroup.add` takes it.
 *
 * @since 0.1.0
 * @category models
 */
export type StreamingEndpoint<
  Identifier extends string,
  Method extends HttpMethod,
  Path extends string,
  Params,
  QueryFields,
  HeaderFields,
  Payload,
  Result,
  StreamingResult,
  ByName,
  Error
> = HttpApiEndpoint.HttpApiEndpoint<
  Identifier,
  Method,
  Path,
  Properties<Params>,
  Query<QueryFields, ByName>,
  [Payload] extends [never] ? never : HttpApiSchema.StreamNdjson<Extract<Payload, Schema.Top>>,
  Properties<HeaderFields>,
  Success<Result, StreamingResult, ByName, Error, Payload>,
  [Error] extends [never] ? never : Schema.toCodecJson<Listed<Error>>,
  [ByName] extends [never] ? Streaming : Streaming | Views
>

/**
 * The identifiers of the streaming endpoints of a group.
 *
 * @since 0.1.0
 * @category models
 */
export type StreamingIdentifier<Group extends HttpApiGroup.Constraint> = StreamingOf<
  HttpApiGroup.Endpoints<Group>
>["identifier"]

type StreamingOf<Endpoint> = Endpoint extends HttpApiEndpoint.ConstraintRequest
  ? Streaming extends Endpoint["~Middleware"] ? Endpoint : never
  : never

type OtherMethod<Endpoint> = Endpoint extends { readonly method: "GET" } ? never : Endpoint

/**
 * An error message, as a type, for groups with a streaming endpoint that is no GET; `unknown` for all others.
 *
 * @since 0.1.0
 * @category models
 */
export type OnlyGet<Group extends HttpApiGroup.Constraint> =
  [OtherMethod<StreamingOf<HttpApiGroup.Endpoints<Group>>>] extends [never] ? unknown
    : "a streaming endpoint must be a GET to have a WebSocket of its own"

/** A view may only leave things out: whatever the handler gives can be shown in it. */
type Projections<ByName, Given> = {
  readonly [Name in keyof ByName]: ByName[Name] extends Schema.Top
    ? Given extends ByName[Name]["Type"] ? ByName[Name] : "a view must be a projection of the result"
    : never
}

type Given<Result, StreamingResult> = [StreamingResult] extends [never]
  ? Result extends Schema.Top ? Result["Type"] : never
  : StreamingResult extends Schema.Top ? StreamingResult["Type"]
  : never

/**
 * Methods that a streaming endpoint may have; the WebSocket binding knows GET only (RFC 6455 section 4.1).
 *
 * @since 0.1.0
 * @category models
 */
export type StreamingMethod = "GET" | "POST" | "PUT" | "PATCH" | "DELETE"

const encodesNull = (schema: Schema.Top): boolean => Schema.is(Schema.toEncoded(Schema.toCodecJson(schema)))(null)

/**
 * A constructor of streaming endpoints with another method than GET, for the multiplexed binding alone.
 *
 * **Example** (An upload that is a stream)
 *
 * ```ts
 * import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
 * import * as HttpApi from "effect/http-api/HttpApi"
 * import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
 * import * as Schema from "effect/Schema"
 *
 * export class Store extends HttpApi.make("Store").add(
 *   HttpApiGroup.make("readings").add(
 *     StreamingEndpoint.make("POST")("add", "/readings", {
 *       streamingPayload: Schema.Struct({ celsius: Schema.Number }),
 *       result: Schema.Struct({ added: Schema.Int })
 *     })
 *   )
 * ) {}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const Method extends StreamingMethod>(method: Method) =>
<
  const Identifier extends string,
  const Path extends HttpRouter.PathInput,
  Params extends Fields = never,
  QueryFields extends Fields = never,
  HeaderFields extends Fields = never,
  Payload extends Schema.Top = never,
  Result extends Schema.Top = never,
  StreamingResult extends Schema.Top = never,
  ByName extends Readonly<Record<string, Schema.Top>> = never,
  const Error extends Schema.Top | ReadonlyArray<Schema.Top> = never
>(
  identifier: Identifier,
  path: Path,
  options: {
    readonly params?: Params | undefined
    readonly query?: QueryFields | undefined
    readonly headers?: HeaderFields | undefined
    /** The messages of the client, if it streams. */
    readonly streamingPayload?: Payload | undefined
    /** The one result, if there is one: an endpoint may have this, `streamingResult` or neither. */
    readonly result?: Result | undefined
    /** The messages of the server, if it streams. */
    readonly streamingResult?: StreamingResult | undefined
    /**
     * Projections of the result, chosen for each call by the query parameter `view`. `default` is the result itself.
     */
    readonly views?:
      | (ByName & Projections<NoInfer<ByName>, Given<NoInfer<Result>, NoInfer<StreamingResult>>>)
      | undefined
    /** What may go wrong, before the stream and in its middle; the status is the annotation `httpApiStatus`. */
    readonly error?: Error | undefined
    /** Bytes of a message of the client, as JSON. Default 1 MiB. */
    readonly maxMessageBytes?: number | undefined
  }
): StreamingEndpoint<
  Identifier,
  Method,
  Path,
  Params,
  QueryFields,
  HeaderFields,
  Payload,
  Result,
  StreamingResult,
  ByName,
  Error
> => declare(method, identifier, path, options) as never

/** What an endpoint is declared with, whatever its types. */
interface Declaration {
  readonly params?: Fields | undefined
  readonly query?: Fields | undefined
  readonly headers?: Fields | undefined
  readonly streamingPayload?: Schema.Top | undefined
  readonly result?: Schema.Top | undefined
  readonly streamingResult?: Schema.Top | undefined
  readonly views?: Readonly<Record<string, Schema.Top>> | undefined
  readonly error?: Schema.Top | ReadonlyArray<Schema.Top> | undefined
  readonly maxMessageBytes?: number | undefined
}

const declare = (
  method: StreamingMethod,
  identifier: string,
  path: HttpRouter.PathInput,
  declaration: Declaration
): HttpApiEndpoint.Top => {
  const { maxMessageBytes, result, streamingPayload, streamingResult } = declaration
  const what = `${method} ${path}`
  assertStreams(what, method, declaration)
  const whole = streamingResult ?? result
  const views = declaration.views === undefined ? undefined : viewsOf(what, whole, declaration.views)
  const shown = views === undefined ? whole && Schema.toCodecJson(whole) : viewed(views)
  const errors = errorsOf(declaration)
  const failures = streamingPayload === undefined ? errors : [...errors, BadPayloadFromJson]
  const endpoint = HttpApiEndpoint.make("POST")(identifier, path, {
    params: declaration.params,
    headers: declaration.headers,
    query: views === undefined
      ? declaration.query
      : { ...declaration.query, view: Schema.optionalKey(Schema.Literals(Object.keys(views))) },
    payload: streamingPayload &&
      HttpApiSchema.StreamNdjson({ schema: streamingPayload, maxElementBytes: maxMessageBytes }),
    success: streamingResult === undefined ? shown : HttpApiSchema.StreamSse({
      data: shown!,
      error: failures.length === 0 ? Schema.Never : Schema.Union(failures.map((schema) => Schema.toCodecJson(schema)))
    }),
    error: errors as ReadonlyArray<never>
  })
  const streaming = Object.assign(endpoint, { method }).annotate(Shape, {
    streamingPayload: streamingPayload !== undefined,
    result: streamingResult !== undefined ? "stream" : result !== undefined ? "value" : "none",
    views: views === undefined ? [] : Object.keys(views),
    errors: failures
  }).annotate(OpenApi.Transform, (operation) => describe(operation, method, streamingPayload)).middleware(Streaming)
  return views === undefined ? streaming : streaming.middleware(Views)
}

/** Throws for declarations that make no sense in ways that types can't show. */
const assertStreams = (
  what: string,
  method: StreamingMethod,
  { result, streamingPayload, streamingResult }: Declaration
): void => {
  if (streamingPayload === undefined && streamingResult === undefined) {
    throw new globalThis.Error(`${what} streams neither way: it needs a streamingPayload or a streamingResult`)
  }
  if (result !== undefined && streamingResult !== undefined) {
    throw new globalThis.Error(`${what} has both a result and a streamingResult`)
  }
  if (method === "GET" && streamingPayload !== undefined && encodesNull(streamingPayload)) {
    throw new globalThis.Error(`${what}: a message may be null, which ends the input on a WebSocket of its own`)
  }
}

const errorsOf = ({ error }: Declaration): ReadonlyArray<Schema.Top> =>
  error === undefined ? [] : Array.isArray(error) ? error : [error as Schema.Top]

/** `OpenApi` leaves out the body of a GET. Here a GET may have one: the messages of the client. */
const describe = (
  operation: Readonly<Record<string, unknown>>,
  method: StreamingMethod,
  streamingPayload: Schema.Top | undefined
): Record<string, unknown> => {
  if (method !== "GET" || streamingPayload === undefined) return operation
  const { definitions, schema } = Schema.toJsonSchemaDocument(streamingPayload, { referencePolicy: () => undefined })
  // A recursive schema can't be written inline: it is described as any value.
  const item = Object.keys(definitions).length === 0 ? schema : {}
  return {
    ...operation,
    requestBody: {
      description: "The messages of the client, one a line; on a WebSocket of its own, one a message.",
      required: true,
      content: { "application/x-ndjson": { schema: item, "x-effect-stream": { encoding: "ndjson" } } }
    }
  }
}

const viewsOf = (
  what: string,
  whole: Schema.Top | undefined,
  views: Readonly<Record<string, Schema.Top>>
): Readonly<Record<string, Schema.Top>> => {
  if (whole === undefined) throw new globalThis.Error(`${what} has views of no result`)
  if ("default" in views) throw new globalThis.Error(`${what}: the view "default" is the result itself`)
  return { default: whole, ...views }
}

/**
 * A streaming endpoint that both bindings carry.
 *
 * **Details**
 *
 * With `streamingPayload` handlers find the client's messages in `payload`, a `Stream`; with `streamingResult` they
 * return a `Stream`, with `result` a value, with neither nothing. A stream may fail with every declared `error`; so may
 * the handler before it returns, which then is the HTTP status of that error.
 *
 * **Gotchas**
 *
 * A message of the client that does not fit its schema fails `payload` with an `HttpApiSchemaError`. If the handler does
 * not catch it, the client gets it.
 *
 * **Example** (The four kinds)
 *
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as HttpApi from "effect/http-api/HttpApi"
 * import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
 * import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
 *
 * const Reading = Schema.Struct({ celsius: Schema.Number, at: Schema.String })
 *
 * export class Weather extends HttpApi.make("Weather").add(
 *   HttpApiGroup.make("sensors").add(
 *     StreamingEndpoint.get("watch", "/watch", {
 *       streamingResult: Reading,
 *       views: { tiny: Schema.Struct({ celsius: Schema.Number }) }
 *     }),
 *     StreamingEndpoint.get("record", "/record", { streamingPayload: Reading }),
 *     StreamingEndpoint.get("average", "/average", { streamingPayload: Reading, result: Schema.Number }),
 *     StreamingEndpoint.get("convert", "/convert", { streamingPayload: Reading, streamingResult: Schema.Number })
 *   )
 * ) {}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const get = make("GET")
