/** `universal-logout data-key new`: a fresh key to paste as DATA_KEY. */
import { dataKeyText, newDataKey } from '../../data-key.js';

export function printNewKey(): void {
  console.log(dataKeyText(newDataKey()));
}
