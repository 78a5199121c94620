/**
 * The objects of an iommufd by id: I/O address spaces, page tables, devices, accesses.
 *
 * @source drivers/iommu/iommufd/main.c iommufd_object_remove, iommufd_get_object, 7.2
 */
import { Errno } from '@pinfold/base';
import type { IommufdContext } from './context.ts';

/** An object. */
export interface IommufdObject {
  /** Kind of object. */
  readonly type: 'ioas' | 'hwpt' | 'device' | 'access';
  /** Its id, from 1 on. */
  readonly id: number;
  /** Other objects that use it. */
  users: number;
  /** Gives up what it holds. */
  destroy(): void;
}

/** The objects of one iommufd. */
export class IommufdObjects {
  readonly #context: IommufdContext;
  readonly #byId = new Map<number, IommufdObject>();

  /** @param context the iommufd */
  constructor(context: IommufdContext) {
    this.#context = context;
  }

  /** Number of objects. */
  get size(): number {
    return this.#byId.size;
  }

  /** All objects, in the order of their ids. */
  get all(): readonly IommufdObject[] {
    return [...this.#byId.values()].sort((a, b) => a.id - b.id);
  }

  /**
   * Adds an object under the lowest free id.
   *
   * @param make makes it, given its id
   * @returns the object
   */
  add<T extends IommufdObject>(make: (id: number) => T): T {
    let id = 1;
    while (this.#byId.has(id)) id++;
    const object = make(id);
    this.#byId.set(id, object);
    return object;
  }

  /**
   * Finds an object.
   *
   * @param id its id
   * @param type what it has to be; undefined: anything
   * @returns the object, or -ENOENT
   * @source drivers/iommu/iommufd/main.c iommufd_get_object, 7.2
   */
  get(id: number, type?: IommufdObject['type']): IommufdObject | number {
    const object = this.#byId.get(id);
    if (object && (type === undefined || object.type === type)) return object;
    const { refusals } = this.#context;
    const details = { id, wanted: type ?? 'any', found: object?.type ?? 'none' };
    return refusals.refuse(
      'iommufd_get_object: the id names such an object',
      Errno.ENOENT,
      details,
    );
  }

  /**
   * Destroys an object that nobody uses.
   *
   * @param id its id
   * @returns 0, -ENOENT or -EBUSY
   * @source drivers/iommu/iommufd/main.c iommufd_destroy, iommufd_object_remove, 7.2
   */
  remove(id: number): number {
    const object = this.get(id);
    if (typeof object === 'number') return object;
    if (object.users > 0 || object.type === 'device' || object.type === 'access') {
      const check = 'iommufd_object_remove: nobody uses the object';
      const details = { id, type: object.type, users: object.users };
      return this.#context.refusals.refuse(check, Errno.EBUSY, details);
    }
    this.drop(object);
    return 0;
  }

  /**
   * Destroys an object, whoever asks.
   *
   * @param object the object
   */
  drop(object: IommufdObject): void {
    this.#byId.delete(object.id);
    object.destroy();
  }

  /**
   * Destroys everything, users before what they use.
   *
   * @source drivers/iommu/iommufd/main.c iommufd_fops_release, 7.2
   */
  clear(): void {
    while (this.#byId.size > 0) {
      const free = this.all.filter(({ users }) => users === 0);
      for (const object of free.length > 0 ? free : this.all) {
        if (object.users === 0 || free.length === 0) this.drop(object);
      }
    }
  }
}
