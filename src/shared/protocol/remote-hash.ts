/** SHA-256 of workers/remote/protocol/schema.json. Written by `npm run schema`. */
export const REMOTE_SCHEMA_HASH = "4c75f30b7faf32f4c5c19aff66e5e385a568cb760d5096e6923efa61a3a4cba7";
