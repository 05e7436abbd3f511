/**
 * Multipart forms.
 */
import * as ByteSize from "effect/ByteSize"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Multipart from "effect/http/Multipart"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as assert from "../assert.ts"
import {
  type Case,
  makeCase,
  pseudoRandom,
  seen,
  serve,
  serveInspector,
  serveWith,
  sha256,
  sha256Stream,
  utf8
} from "./cases.ts"

const form = () => {
  const data = new FormData()
  data.append("title", "a ✓ title")
  data.append("tag", "one")
  data.append("tag", "two")
  data.append("upload", new File([pseudoRandom(50_000)], "dätä \"1\".bin", { type: "application/x-data" }))
  data.append("empty", new File([], "empty.txt", { type: "text/plain" }))
  return data
}

export const multipartCases: ReadonlyArray<Case> = [
  makeCase(
    "a FormData body arrives as multipart/form-data with its boundary",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(HttpClientRequest.post("/").pipe(HttpClientRequest.bodyFormData(form())))
      const boundary = /^multipart\/form-data; ?boundary="?([^"]+)"?$/.exec(request.headers["content-type"] ?? "")?.[1]
      assert.isDefined(boundary)
      assert.isTrue(request.text.startsWith(`--${boundary}`))
      assert.isTrue(request.text.trimEnd().endsWith(`--${boundary}--`))
    })
  ),

  makeCase(
    "the parts of a multipart body arrive in order, as a stream",
    Effect.gen(function*() {
      const parts: Array<readonly [string, string, string]> = []
      yield* serveWith((request) =>
        Stream.runForEach(request.multipartStream, (part) =>
          part._tag === "Field"
            ? Effect.sync(() => {
              parts.push([part.key, "field", part.value])
            })
            : Effect.map(sha256Stream(part.content), (hash) => {
              parts.push([part.key, part.contentType, `${part.name} ${hash}`])
            })).pipe(Effect.as(HttpServerResponse.empty()))
      )
      const response = yield* HttpClient.post("/", { body: HttpBody.formData(form()) })
      assert.strictEqual(response.status, 204)
      assert.deepStrictEqual(parts.map(([key, type]) => [key, type]), [
        ["title", "field"],
        ["tag", "field"],
        ["tag", "field"],
        ["upload", "application/x-data"],
        ["empty", "text/plain"]
      ])
      assert.deepStrictEqual(parts.slice(0, 3).map(([, , value]) => value), ["a ✓ title", "one", "two"])
      assert.match(parts[3]?.[2] ?? "", new RegExp(`^dätä .*1.*\\.bin ${sha256(pseudoRandom(50_000))}$`))
      assert.strictEqual(parts[4]?.[2], `empty.txt ${sha256(new Uint8Array(0))}`)
    })
  ),

  makeCase(
    "the files of a multipart body are kept on disk until the answer has been sent",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const paths: Array<string> = []
      const closed = yield* Deferred.make<void>()
      yield* serve(Effect.gen(function*() {
        // finalizers run in reverse order: this one after the files have been removed
        yield* Effect.addFinalizer(() => Deferred.succeed(closed, undefined))
        const body = yield* HttpServerRequest.schemaBodyMultipart(Schema.Struct({
          title: Schema.String,
          tag: Schema.Array(Schema.String),
          upload: Multipart.SingleFileSchema,
          empty: Multipart.FilesSchema
        }))
        paths.push(body.upload.path)
        const [bytes, empty] = yield* Effect.all([
          fs.readFile(body.upload.path),
          Effect.forEach(body.empty, (file) => fs.readFile(file.path))
        ])
        return HttpServerResponse.jsonUnsafe({
          title: body.title,
          tag: body.tag,
          hash: sha256(bytes),
          empty: empty.map((file) => file.length)
        })
      }))
      const response = yield* HttpClient.post("/", { body: HttpBody.formData(form()) })
      assert.deepStrictEqual(yield* response.json, {
        title: "a ✓ title",
        tag: ["one", "two"],
        hash: sha256(pseudoRandom(50_000)),
        empty: [0]
      })
      assert.strictEqual(paths.length, 1)
      yield* Deferred.await(closed)
      assert.isFalse(yield* fs.exists(paths[0] ?? ""))
    })
  ),

  makeCase(
    "a file of 3 MiB in a multipart body arrives whole",
    Effect.gen(function*() {
      const bytes = pseudoRandom(3 * 1024 * 1024)
      yield* serveWith((request) =>
        request.multipartStream.pipe(
          Stream.filter(Multipart.isFile),
          Stream.mapEffect((part) => sha256Stream(part.content)),
          Stream.mkString,
          Effect.map((hash) => HttpServerResponse.text(hash))
        )
      )
      const response = yield* HttpClient.post("/", {
        body: HttpBody.formDataRecord({ file: new File([bytes], "big.bin") })
      })
      assert.strictEqual(yield* response.text, sha256(bytes))
    })
  ),

  makeCase(
    "a multipart body that breaks off is a 400",
    Effect.gen(function*() {
      yield* serveWith((request) => Effect.as(Stream.runDrain(request.multipartStream), HttpServerResponse.empty()))
      const response = yield* HttpClient.post("/", {
        body: HttpBody.uint8Array(
          utf8("--x\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nnever ends"),
          "multipart/form-data; boundary=x"
        )
      })
      assert.strictEqual(response.status, 400)
    })
  ),

  makeCase(
    "a multipart file beyond its limit is a 413",
    Effect.gen(function*() {
      yield* serveWith((request) =>
        request.multipart.pipe(
          Effect.as(HttpServerResponse.empty()),
          Effect.provideService(Multipart.MaxFileSize, ByteSize.bytes(1000))
        )
      )
      const response = yield* HttpClient.post("/", {
        body: HttpBody.formDataRecord({ file: new File([pseudoRandom(2000)], "big.bin") })
      })
      assert.strictEqual(response.status, 413)
    })
  )
]
