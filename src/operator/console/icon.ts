/** The icon of the console's pages: a door that somebody has left. */

export const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
  <rect width="32" height="32" rx="7" fill="#0550ae"/>
  <path d="M17 8H8v16h9M13 16h12m-5-5 5 5-5 5" fill="none" stroke="#fff" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round"/>
</svg>
`;

export const iconPath = '/console/icon.svg';
