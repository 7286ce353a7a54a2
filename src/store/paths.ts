/** Where things are in the store; see docs/store.md for the whole of its layout. */

/** The store when nobody names one. */
export const DEFAULT_STORE = '/var/lib/strata';
