/** Calls the hub that it is told of, and ends by itself. */
import { callHub } from "./callHub.ts"

declare const process: { readonly argv: ReadonlyArray<string> }

console.log(JSON.stringify(await callHub(process.argv[2]!, { headers: { authorization: "Bearer open sesame" } })))
