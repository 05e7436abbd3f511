// The example is a test file itself.
import "../../examples/testing.test.ts"
