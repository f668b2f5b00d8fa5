/** The people of the demo, as the stand-in Okta knows them. */
import type { OktaPerson } from './okta-login.js';

export const ada: OktaPerson = { id: '00u1ada', name: 'Ada', email: 'ada@example.com', password: 'analytical-engine' };
export const grace: OktaPerson = { id: '00u2grace', name: 'Grace', email: 'grace@example.com', password: 'nanosecond' };
