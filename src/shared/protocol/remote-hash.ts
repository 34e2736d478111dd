/** SHA-256 of workers/remote/protocol/schema.json. Written by `npm run schema`. */
export const REMOTE_SCHEMA_HASH = "4cbfe2b192c541545553c61517b8b2cb65366bc919a02d821edc10f19136aba7";
