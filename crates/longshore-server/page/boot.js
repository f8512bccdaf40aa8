// A file that did not come is asked for again. Where containers come and go the computer's network changes each time, and browsers then
// break off what they load, even from this computer (ERR_NETWORK_CHANGED); a module that does not come is a page that does nothing.

addEventListener("error", ({ target }) => {
  if (!(target instanceof HTMLScriptElement) && !(target instanceof HTMLLinkElement)) return;
  const tries = Number(sessionStorage.getItem("tries"));
  if (tries === 6) return;
  sessionStorage.setItem("tries", tries + 1);
  setTimeout(() => location.reload(), 100 * 2 ** tries);
}, true);
