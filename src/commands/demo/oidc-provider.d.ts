/** The one class of oidc-provider without the package's entry, which warns about Node 20 on every start. */
declare module 'oidc-provider/lib/provider.js' {
  export { default as Provider } from 'oidc-provider';
}
