/** A simple index of Python packages: PEP 503 (HTML) and PEP 691 (JSON). */
import { TorchSearchError } from "../errors";
import { isRecord } from "../util/check";
import { requireSafe } from "./settings";

/** A file that an index offers. */
export interface IndexFile {
  name: string;
  url: string;
  /** Hexadecimal SHA-256 of its bytes; null where the index gives none. */
  sha256: string | null;
}

const ACCEPT =
  "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

/** The most bytes that a page may have. */
const PAGE = 64 * 2 ** 20;

/** Requests an address, whose user name and password, if any, go into a header. @throws `ERR_DOWNLOAD` */
export async function request(
  address: string,
  headers: Record<string, string>,
  signal: AbortSignal | null,
): Promise<Response> {
  const url = new URL(address);
  const { username, password } = url;
  url.username = "";
  url.password = "";
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const authorization = username && { authorization: `Basic ${Buffer.from(login).toString("base64")}` };
  let response: Response;
  try {
    response = await fetch(url, { headers: { ...headers, ...(authorization || {}) }, signal });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    const { message, cause: reason } = cause as Error;
    throw new TorchSearchError(
      "ERR_DOWNLOAD",
      `${url} can't be reached: ${(reason as Error | undefined)?.message || message}. Check the network, then try again.`,
      { cause },
    );
  }
  requireSafe(response.url, "a redirection");
  return response;
}

/**
 * The files of the package torch in an index, without those that were withdrawn.
 *
 * @throws `ERR_DOWNLOAD` where the index can't be read
 */
export async function listFiles(index: string, signal: AbortSignal | null): Promise<IndexFile[]> {
  const response = await request(`${index}/torch/`, { accept: ACCEPT }, signal);
  const shown = new URL(response.url).origin;
  if (response.status === 404) return [];
  if (!response.ok) {
    throw new TorchSearchError("ERR_DOWNLOAD", `The index ${shown} answered ${response.status} for torch.`);
  }
  const text = await response.text();
  if (text.length > PAGE)
    throw new TorchSearchError("ERR_DOWNLOAD", `The index ${shown} has too long a page.`);
  const json = (response.headers.get("content-type") ?? "").includes("json");
  return json ? filesOfJson(text, response.url) : filesOfHtml(text, response.url);
}

function filesOfJson(text: string, base: string): IndexFile[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new TorchSearchError("ERR_DOWNLOAD", `The index's page ${base} is not JSON.`, { cause });
  }
  const files = isRecord(document) && Array.isArray(document.files) ? document.files : [];
  return files.flatMap((file: unknown): IndexFile[] => {
    if (!isRecord(file) || typeof file.filename !== "string" || typeof file.url !== "string") return [];
    if (file.yanked) return [];
    const sha256 = isRecord(file.hashes) ? file.hashes.sha256 : null;
    return entry(file.filename, file.url, typeof sha256 === "string" ? sha256 : null, base);
  });
}

function filesOfHtml(text: string, base: string): IndexFile[] {
  return [...text.matchAll(/<a\s([^>]*)>([^<]*)<\/a>/gi)].flatMap(([, attributes = "", label = ""]) => {
    if (/\bdata-yanked\b/i.test(attributes)) return [];
    const href = /\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')/i.exec(attributes);
    if (href === null) return [];
    const [link = "", fragment = ""] = unescaped(href[1] ?? href[2] ?? "").split("#");
    const sha256 = /(?:^|&)sha256=([0-9a-f]{64})/i.exec(fragment)?.[1] ?? null;
    return entry(unescaped(label.trim()), link, sha256, base);
  });
}

function entry(name: string, link: string, sha256: string | null, base: string): IndexFile[] {
  if (!URL.canParse(link, base)) return [];
  const url = new URL(link, base);
  if (url.protocol !== "https:" && url.protocol !== "http:") return [];
  return [{ name, url: url.href, sha256: sha256?.toLowerCase() ?? null }];
}

function unescaped(text: string): string {
  return text
    .replaceAll("&quot;", '"')
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}
