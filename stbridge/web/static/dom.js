// Builds the page from descriptions of elements, and changes only what differs, so that the focus stays where it is.
// Texts are only ever set as text: nothing here can create an element from a string of HTML.

/**
 * @typedef {object} Described
 * @property {string} tag
 * @property {Record<string, any>} props
 * @property {Array<Described | string>} children
 */

/** @typedef {Described | string | number | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "polyline"]);
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "selected", "tabIndex"]);

/** @type {WeakMap<Node, Described>} */
const shown = new WeakMap();

/**
 * Describes an element.
 * @param {string} tag
 * @param {Record<string, any> | null} [props] attributes; `on...` are listeners, `style` is an object, `key` identifies
 *     the element among its siblings
 * @param {...(Child | Child[])} children
 * @returns {Described}
 */
export function h(tag, props, ...children) {
  const flat = /** @type {Child[]} */ (children.flat());
  return {
    tag,
    props: props ?? {},
    children: flat
      .filter((one) => one !== null && one !== undefined && one !== false)
      .map((one) => (typeof one === "object" ? /** @type {Described} */ (one) : String(one))),
  };
}

/**
 * Makes the children of an element equal to the descriptions.
 * @param {Element} parent
 * @param {Array<Described | string>} wanted
 */
export function render(parent, wanted) {
  /** @type {Map<string, ChildNode>} */
  const keyed = new Map();
  for (const node of parent.childNodes) {
    const key = shown.get(node)?.props.key;
    if (key !== undefined) keyed.set(key, node);
  }
  let next = parent.firstChild;
  for (const one of wanted) {
    const key = typeof one === "object" ? one.props.key : undefined;
    let node = key === undefined ? next : (keyed.get(key) ?? null);
    if (key !== undefined) {
      keyed.delete(key);
      // Moving what stands between would take the focus from it, so remove what is not wanted any more first.
      while (next && next !== node && isObsolete(next, wanted)) next = removed(next);
    }
    if (!node || !fits(node, one)) node = create(one);
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
    if (typeof one === "object") update(/** @type {Element} */ (node), one);
    else if (node.nodeValue !== one) node.nodeValue = one;
  }
  while (next) next = removed(next);
}

/**
 * @param {ChildNode} node
 * @returns {ChildNode | null} the node after it
 */
function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

/**
 * @param {Node} node
 * @param {Array<Described | string>} wanted
 */
function isObsolete(node, wanted) {
  const key = shown.get(node)?.props.key;
  return key === undefined || !wanted.some((one) => typeof one === "object" && one.props.key === key);
}

/**
 * @param {Node} node
 * @param {Described | string} wanted
 */
function fits(node, wanted) {
  const before = shown.get(node);
  if (typeof wanted === "string") return node.nodeType === Node.TEXT_NODE;
  return before !== undefined && before.tag === wanted.tag && before.props.key === wanted.props.key;
}

/**
 * @param {Described | string} wanted
 * @returns {ChildNode}
 */
function create(wanted) {
  if (typeof wanted === "string") return document.createTextNode(wanted);
  const node = SVG_TAGS.has(wanted.tag)
    ? document.createElementNS(SVG, wanted.tag)
    : document.createElement(wanted.tag);
  shown.set(node, { tag: wanted.tag, props: { key: wanted.props.key }, children: [] });
  return node;
}

/**
 * @param {Element} node
 * @param {Described} wanted
 */
function update(node, wanted) {
  const before = shown.get(node)?.props ?? {};
  for (const name of Object.keys(before)) {
    if (!(name in wanted.props)) set(node, name, undefined);
  }
  for (const [name, value] of Object.entries(wanted.props)) {
    if (before[name] !== value || name === "style") set(node, name, value);
  }
  shown.set(node, wanted);
  if (!wanted.props.own) render(node, wanted.children);
}

/**
 * @param {any} node
 * @param {string} name
 * @param {any} value
 */
function set(node, name, value) {
  if (name === "key" || name === "own") return;
  if (name.startsWith("on")) node[name] = value ?? null;
  else if (name === "style") for (const [key, one] of Object.entries(value ?? {})) node.style.setProperty(key, one);
  else if (PROPERTIES.has(name)) {
    if (node[name] !== value) node[name] = value ?? "";
  } else if (value === undefined || value === null || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : String(value));
}
