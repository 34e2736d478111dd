/** A bar of what memory is needed for, and beneath it the same in words: the colours alone say nothing. */
import { useTranslation } from "react-i18next";
import type { StagePreflight } from "../../stores/preflight";
import { formatBytes } from "../common/format";

export interface PartsBarProps {
  readonly parts: StagePreflight["parts"];
  /** Bytes that the whole bar stands for. */
  readonly total: number;
}

export function PartsBar({ parts, total }: PartsBarProps) {
  const { t } = useTranslation();
  const shown = parts.filter(({ bytes }) => bytes > 0);
  return (
    <div>
      <div className="ng-preflight-bar" aria-hidden>
        {shown.map(({ part, bytes }) => (
          <span key={part} data-part={part} style={{ width: `${(100 * bytes) / total}%` }} />
        ))}
      </div>
      <ul className="ng-preflight-parts">
        {shown.map(({ part, bytes }) => (
          <li key={part}>
            <span className="ng-preflight-key" data-part={part} aria-hidden />
            <span>{t(`preflight.parts.${part}`)}</span>
            <span className="ng-numeric ng-nowrap">{formatBytes(bytes)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
