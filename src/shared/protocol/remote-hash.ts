/** SHA-256 of workers/remote/protocol/schema.json. Written by `npm run schema`. */
export const REMOTE_SCHEMA_HASH = "4dfacbc051f75092584a320e6009e57e6193ad16a15b611fbf484973736fb1b7";
