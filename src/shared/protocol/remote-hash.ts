/** SHA-256 of workers/remote/protocol/schema.json. Written by `npm run schema`. */
export const REMOTE_SCHEMA_HASH = "bb1a906b4e72154d8db57bdd9dff9f45bb3e10466bb78caaa84ba030039f7b84";
