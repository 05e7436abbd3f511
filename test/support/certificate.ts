/**
 * A certificate for TLS on loopback, which nobody trusts who is not told to, and its key. It says `localhost` and 127.0.0.1:
 *
 *     openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj "/CN=localhost" \
 *       -addext "subjectAltName=DNS:localhost,IP:127.0.0.1"
 */
export const certificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgHExNwAOH4fWwRPzo
e0ljzK5MqgfaTqyQ39emTij4cWShRANCAARmqa9cVLa5HjrNNIFa+iyj4Sy2mHax
8SexSh4SfRPRlAkdQF8G0YyOER4lSBZ5+nHGiZKuxPsYu1y+c9xXLz+J
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUPzk9h3utDiKAhljoRZTrHSBeeBEwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEzMDIxNDAwOFoYDzIxMjYxMTA2
MjE0MDA4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARmqa9cVLa5HjrNNIFa+iyj4Sy2mHax8SexSh4SfRPRlAkdQF8G0YyO
ER4lSBZ5+nHGiZKuxPsYu1y+c9xXLz+Jo28wbTAdBgNVHQ4EFgQUYOJ1a6IliuX/
tVD1VCpfbQQi8F0wHwYDVR0jBBgwFoAUYOJ1a6IliuX/tVD1VCpfbQQi8F0wDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgP1IFEMHYCNXfXnOgvKgElP7ik3prH25wK1muXJJmXHACIQDo
XpVWCIDA7k806e7v5HIXDUssMLAWEsJwjDWNee5rQg==
-----END CERTIFICATE-----`
} as const
