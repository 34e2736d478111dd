/** A shader's text, as Vite's `?raw` delivers it. vite/client would bring the DOM's types along. */
declare module "*.wgsl?raw" {
  const source: string;
  export default source;
}
