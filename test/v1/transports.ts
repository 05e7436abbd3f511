/**
 * The ways to connect two ends on wire v1, with both ends ours, and what HTTP/1.1 in messages, one call at a time, can't
 * express.
 */
import { makeTransports } from "../support/transports.ts"

/** What Go's programs could not take, ours can. */
export const limits = { v1MaxRequestToServer: 12 * 1024 * 1024, v1MaxRequestToClient: 12 * 1024 * 1024 }

const whole = "a request is one message, sent when its body is complete"
const oneAtATime = "a peer answers one call at a time"
const noReset = "there is no word for a call that was given up: the peer finishes, or the connection ends"
const headLength = "callers of HEAD would wait for as many bytes as content-length says"
const known = "a body that is complete when its head leaves has a length"

const notLeft = "the head has not left when the body turns out to be wrong, so that the answer is a 500"

/** What wire v1 can't express, and why. */
export const options = {
  skip: {
    "a stream of unknown length arrives whole and without a content-length": whole,
    "the handler reads a request body as it is produced": whole,
    "full duplex: the first response chunk is seen before the second request chunk is produced": whole,
    "full duplex: a conversation of 100 turns": whole,
    "a response may end before the request body has ended, and the upload is stopped then": whole,
    "a request body that fails makes the call fail, and the handler's read": whole,
    "a request body that dies makes the call fail, and the handler's read": whole,
    "a request body that is interrupted makes the call fail, and the handler's read": whole,
    "interrupting the caller while it sends the body interrupts the handler and stops the upload": whole,
    "a streamed response has no content-length": known,
    "HEAD of a text response has its length and no body": headLength,
    "HEAD of a stream response has its length and no body": headLength,
    "HEAD of a static file has its length and no body": headLength,
    "a reader that has seen enough stops the producer": noReset,
    "interrupting the caller interrupts the handler": noReset,
    "the interruption of a handler by its caller carries ClientAbort": noReset,
    "a caller that times out interrupts the handler": noReset,
    "an interrupted exchange leaves the others alone": noReset,
    "interrupting the reader of a response interrupts its stream": noReset,
    "a client withScope gives up the response when the scope closes": noReset,
    "finalizers of the request scope run after an interruption": noReset,
    "HEAD falls back to the GET route": headLength,
    "an NDJSON endpoint answers each row of its payload before the next is produced": whole,
    "a slow exchange does not hold up another": oneAtATime,
    "a response body that nobody reads yet does not hold up another exchange": oneAtATime,
    "a request body that the handler does not read yet does not hold up another exchange": oneAtATime,
    "100 concurrent requests are each given their own answer": oneAtATime,
    "a response shorter than its content-length makes the reader fail": notLeft,
    "a response longer than its content-length makes the reader fail or is cut there": notLeft
  }
}

export const transports = makeTransports({ wire: "v1", limits })
