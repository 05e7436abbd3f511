import { suite, ways } from "./upgradeKinds.ts"

for (const [name, way] of Object.entries(ways)) suite(name, way)
