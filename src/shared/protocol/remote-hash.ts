/** SHA-256 of workers/remote/protocol/schema.json. Written by `npm run schema`. */
export const REMOTE_SCHEMA_HASH = "00053396745acd805967f9fb0e0cee8e370d4aee4069344a24799b69f808d9c5";
