/**
 * Files, ranges and conditional requests.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpStaticServer from "effect/http/HttpStaticServer"
import * as Path from "effect/Path"
import * as assert from "../assert.ts"
import { type Case, makeCase, pseudoRandom, responseBytes, serve, serveWith, sha256 } from "./cases.ts"

const content = "0123456789abcdefghijklmnopqrstuvwxyz"

const directory = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const root = yield* fs.makeTempDirectoryScoped()
  yield* fs.writeFileString(path.join(root, "alphabet.txt"), content)
  yield* fs.writeFile(path.join(root, "big.bin"), pseudoRandom(1_000_000))
  yield* fs.makeDirectory(path.join(root, "sub dir"))
  yield* fs.writeFileString(path.join(root, "sub dir", "index.html"), "<p>index</p>")
  return { root, file: (name: string) => path.join(root, name) }
})

const serveDirectory = Effect.gen(function*() {
  const { root } = yield* directory
  yield* serve(yield* HttpStaticServer.make({ root, cacheControl: "max-age=60" }))
})

const range = (value: string) => HttpClient.get("/alphabet.txt", { headers: { range: value } })

export const fileCases: ReadonlyArray<Case> = [
  makeCase(
    "a file response has its type, length, etag and date",
    Effect.gen(function*() {
      const { file } = yield* directory
      yield* serve(HttpServerResponse.file(file("alphabet.txt")))
      const response = yield* HttpClient.get("/")
      assert.strictEqual(response.status, 200)
      assert.match(response.headers["content-type"] ?? "", /^text\/plain/)
      assert.strictEqual(response.headers["content-length"], "36")
      assert.match(response.headers["etag"] ?? "", /^(W\/)?".+"$/)
      assert.isFalse(Number.isNaN(Date.parse(response.headers["last-modified"] ?? "")))
      assert.strictEqual(yield* response.text, content)
    })
  ),

  makeCase(
    "a part of a file is sent as asked for",
    Effect.gen(function*() {
      const { file } = yield* directory
      yield* serve(HttpServerResponse.file(file("alphabet.txt"), { offset: 10, bytesToRead: 5, status: 206 }))
      const response = yield* HttpClient.get("/")
      assert.strictEqual(response.status, 206)
      assert.strictEqual(response.headers["content-length"], "5")
      assert.strictEqual(yield* response.text, "abcde")
    })
  ),

  makeCase(
    "a web File response has its type, length and bytes",
    Effect.gen(function*() {
      const bytes = pseudoRandom(100_000)
      yield* serve(
        Effect.suspend(() =>
          HttpServerResponse.fileWeb(new File([bytes], "a.bin", { type: "application/x-file", lastModified: 1 }))
        )
      )
      const response = yield* HttpClient.get("/")
      assert.strictEqual(response.headers["content-type"], "application/x-file")
      assert.strictEqual(response.headers["content-length"], "100000")
      assert.strictEqual(sha256(yield* responseBytes(response)), sha256(bytes))
    })
  ),

  makeCase(
    "a file that is missing is a 500 of HttpServerResponse.file and a 404 of HttpStaticServer",
    Effect.gen(function*() {
      const { file, root } = yield* directory
      const app = yield* HttpStaticServer.make({ root })
      yield* serveWith((request) =>
        Effect.gen(function*() {
          return yield* request.url === "/file" ? HttpServerResponse.file(file("nothing.txt")) : app
        })
      )
      assert.strictEqual((yield* HttpClient.get("/file")).status, 500)
      assert.strictEqual((yield* HttpClient.get("/nothing.txt")).status, 404)
    })
  ),

  makeCase(
    "HttpStaticServer sends a whole file",
    Effect.gen(function*() {
      yield* serveDirectory
      const response = yield* HttpClient.get("/big.bin")
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["content-type"], "application/octet-stream")
      assert.strictEqual(response.headers["content-length"], "1000000")
      assert.strictEqual(response.headers["accept-ranges"], "bytes")
      assert.strictEqual(response.headers["cache-control"], "max-age=60")
      assert.strictEqual(sha256(yield* responseBytes(response)), sha256(pseudoRandom(1_000_000)))
    })
  ),

  makeCase(
    "HttpStaticServer sends the index of a directory whose name is percent-encoded",
    Effect.gen(function*() {
      yield* serveDirectory
      const response = yield* HttpClient.get("/sub%20dir/")
      assert.strictEqual(response.headers["content-type"], "text/html; charset=utf-8")
      assert.strictEqual(yield* response.text, "<p>index</p>")
    })
  ),

  makeCase(
    "HttpStaticServer does not leave its root",
    Effect.gen(function*() {
      const { file } = yield* directory
      yield* serve(yield* HttpStaticServer.make({ root: file("sub dir") }))
      for (const target of ["/..%2falphabet.txt", "/%2e%2e/alphabet.txt", "/..%5calphabet.txt", "/%00"]) {
        assert.strictEqual((yield* HttpClient.get(target)).status, 404, target)
      }
    })
  ),

  makeCase(
    "HEAD of a static file has its length and no body",
    Effect.gen(function*() {
      yield* serveDirectory
      const response = yield* HttpClient.head("/alphabet.txt")
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["content-length"], "36")
      assert.strictEqual(yield* Effect.orElseSucceed(response.text, () => ""), "")
    })
  ),

  ...Array.from(
    Object.entries(
      {
        "bytes=0-4": ["bytes 0-4/36", "01234"],
        "bytes=30-": ["bytes 30-35/36", "uvwxyz"],
        "bytes=-3": ["bytes 33-35/36", "xyz"],
        "bytes=35-99": ["bytes 35-35/36", "z"]
      } as const
    ),
    ([asked, [contentRange, expected]]) =>
      makeCase(
        `the range ${asked} is a 206 with just these bytes`,
        Effect.gen(function*() {
          yield* serveDirectory
          const response = yield* range(asked)
          assert.strictEqual(response.status, 206)
          assert.strictEqual(response.headers["content-range"], contentRange)
          assert.strictEqual(response.headers["content-length"], String(expected.length))
          assert.strictEqual(yield* response.text, expected)
        })
      )
  ),

  makeCase(
    "a range beyond the file is a 416",
    Effect.gen(function*() {
      yield* serveDirectory
      const response = yield* range("bytes=36-")
      assert.strictEqual(response.status, 416)
      assert.strictEqual(response.headers["content-range"], "bytes */36")
    })
  ),

  makeCase(
    "if-none-match with the etag is a 304 without a body, with another etag a 200",
    Effect.gen(function*() {
      yield* serveDirectory
      const first = yield* HttpClient.get("/alphabet.txt")
      yield* first.text
      const etag = first.headers["etag"] ?? ""
      const cached = yield* HttpClient.get("/alphabet.txt", { headers: { "if-none-match": etag } })
      assert.strictEqual(cached.status, 304)
      assert.strictEqual(cached.headers["etag"], etag)
      assert.strictEqual(yield* Effect.orElseSucceed(cached.text, () => ""), "")
      const other = yield* HttpClient.get("/alphabet.txt", { headers: { "if-none-match": "\"other\"" } })
      assert.strictEqual(other.status, 200)
      assert.strictEqual(yield* other.text, content)
    })
  ),

  makeCase(
    "if-modified-since with the date of the file is a 304",
    Effect.gen(function*() {
      yield* serveDirectory
      const first = yield* HttpClient.get("/alphabet.txt")
      yield* first.text
      const cached = yield* HttpClient.get("/alphabet.txt", {
        headers: { "if-modified-since": first.headers["last-modified"] }
      })
      assert.strictEqual(cached.status, 304)
    })
  )
]
