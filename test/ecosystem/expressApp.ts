/**
 * An Express app with what apps have: compression, cookies, redirects, errors, forms, events and large bodies.
 */
import compression from "compression"
import express from "express"
import multer from "multer"
import { createHash } from "node:crypto"
import type * as Http from "node:http"
import { Readable } from "node:stream"
import { constants } from "node:zlib"

const page = Array.from({ length: 10_000 }, (_, at) => `<p>line ${at}</p>`).join("\n")

/** Keeps nothing of a file but its size and its hash. */
const storage = {
  _handleFile(_: unknown, file: { stream: Readable }, done: (error: unknown, info?: object) => void) {
    const hash = createHash("sha256")
    let size = 0
    file.stream.on("data", (part: Buffer) => {
      hash.update(part)
      size += part.length
    })
    file.stream.on("error", done)
    file.stream.on("end", () => done(null, { size, hash: hash.digest("hex") }))
  },
  _removeFile: (_request: unknown, _file: unknown, done: (error: unknown) => void) => done(null)
}

const chunk = Buffer.alloc(64 * 1024, "0123456789abcdef")

export const makeApp = () => {
  /** How many events their reader has. */
  const reader = { seen: 0, resume: () => {} }
  let downloads: Array<string> = []
  let uploads: Array<string> = []
  let isReading = false

  const app = express()
  // Fewer bytes to compress: what is large is not about its coder.
  app.use(compression({ level: constants.Z_BEST_SPEED }))
  app.get("/page", (_: unknown, response: any) => response.send(page))
  app.get("/file", (_: unknown, response: any) => response.sendFile(import.meta.filename))
  app.get("/nothing", (_: unknown, response: any) => response.sendStatus(204))
  app.get("/redirect", (_: unknown, response: any) => {
    response.cookie("a", "1").cookie("b", "2", { httpOnly: true })
    // What libraries of cookies don't know, and a name that comes twice.
    response.append("set-cookie", "a=2; path=/x; Priority=High").redirect("/page")
  })
  app.all("/asked", (request: any, response: any) => {
    const { headers: { connection: _, "transfer-encoding": __, ...headers }, method, url } = request
    request.resume()
    response.json({ method, url, headers })
  })
  app.get("/error", () => {
    throw Object.assign(new Error("it failed"), {
      status: 503,
      expose: true,
      headers: { "retry-after": "1" },
      stack: "it failed"
    })
  })
  app.post("/echo", (request: Http.IncomingMessage, response: any) => {
    response.type("text/plain")
    request.pipe(response)
  })
  app.post("/upload", multer({ storage }).single("file"), (request: any, response: any) => response.json(request.file))
  app.post("/small", express.json({ limit: 1000 }), (_: unknown, response: any) => response.end())
  app.post("/hash", (request: Http.IncomingMessage, response: any) => {
    isReading = true
    const hash = createHash("sha256")
    request.on("data", (part: Buffer) => hash.update(part))
    request.on("error", () => {})
    request.on("end", () => response.send(hash.digest("hex")))
    request.on("close", () => void uploads.push(request.complete ? "whole" : "aborted"))
  })
  app.get("/download", (_: unknown, response: any) => {
    response.on("close", () => void downloads.push(response.writableFinished ? "whole" : "close, unfinished"))
    Readable.from(function*() {
      for (let count = 0; count < 1024; count++) yield chunk
    }()).pipe(response.type("application/octet-stream"))
  })
  app.get("/events", async (_: unknown, response: any) => {
    reader.seen = 0
    response.type("text/event-stream")
    for (let event = 0; event < 3; event++) {
      response.write(`data: ${event}\n\n`)
      response.flush()
      while (reader.seen <= event) await new Promise<void>((resolve) => void (reader.resume = resolve))
    }
    response.end()
  })
  return {
    listener: app as unknown as Http.RequestListener,
    /** A reader has so many events. */
    saw(count: number) {
      reader.seen = count
      reader.resume()
    },
    /** How downloads end from now on. */
    downloads: () => downloads = [],
    /** How uploads end from now on. */
    uploads() {
      isReading = false
      return uploads = []
    },
    isReading: () => isReading
  }
}
