/** An SVG document as PNG, at twice its size so that text stays sharp. */
import { NagiError } from "../../shared/errors";

const SCALE = 2;

/** Rejects with `internal` where the browser cannot draw it. */
export async function pngOf(picture: { svg: string; width: number; height: number }): Promise<Blob> {
  const url = URL.createObjectURL(new Blob([picture.svg], { type: "image/svg+xml" }));
  try {
    const image = new Image(picture.width, picture.height);
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = picture.width * SCALE;
    canvas.height = picture.height * SCALE;
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
    if (blob !== null) return blob;
  } catch (cause) {
    throw refused(cause);
  } finally {
    URL.revokeObjectURL(url);
  }
  throw refused(null);
}

function refused(cause: unknown): NagiError {
  const message = "the browser could not draw the picture as PNG; export it as SVG";
  return new NagiError("internal", message, { message }, { cause });
}
